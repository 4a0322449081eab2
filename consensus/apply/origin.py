"""What holds for every command that a user asked for: once, only on what they saw, and written down.

Idempotency keys are remembered for `ONCE_TTL_S`, and the newest of them (draft.MAX_ONCE). A refused command did
nothing, so its key is not used up.
"""

from __future__ import annotations

from collections.abc import Sequence

from immutables import Map

from consensus.apply import apply_command, batch
from consensus.commands import AnyCommand, Batch
from consensus.digest import digest
from consensus.draft import Draft
from consensus.entry import Entry
from consensus.model.audit import AuditNote
from consensus.model.namespace import Reach
from consensus.model.origin import Guard, OnceRecord, Origin
from consensus.namespaces import beyond_reach
from consensus.outcomes import AnyOutcome, Refusal, RefusalCode, conflict, not_found
from consensus.state import State

ONCE_TTL_S = 24 * 3600.0


def apply_entry(draft: Draft, entry: Entry) -> tuple[Draft, AnyOutcome]:
    """The draft to keep, and the answer. A refused command leaves nothing but its audit note."""
    origin = entry.origin
    if origin is None:
        outcome = apply_command(draft, entry.command)
        return (draft.again() if isinstance(outcome, Refusal) else draft), outcome
    remembered = _remembered(draft, origin)
    if remembered is not None:
        return draft, remembered
    outcome = _broken_guard(draft.state, origin.guard) or _apply_within(draft, entry.command, origin.reach)
    if isinstance(outcome, Refusal):
        draft = draft.again()
    elif origin.once is not None:
        once = origin.once
        draft.put_once(
            OnceRecord(key=_owned(origin), fingerprint=once.fingerprint, outcome=outcome, time_s=draft.time_s)
        )
    draft.add_audit_note(_note(draft, origin, outcome))
    return draft, outcome


def _apply_within(draft: Draft, command: AnyCommand, reach: Sequence[Reach | None]) -> AnyOutcome:
    """Refuses what is beyond `reach`, as things are when it is applied; in a batch, when its turn comes."""
    if not reach:
        return apply_command(draft, command)
    if isinstance(command, Batch):
        reaches = iter(reach)
        return batch.apply(draft, command, lambda draft, part: _apply_within(draft, part, (next(reaches),)))
    return beyond_reach(draft.state, command, reach[0]) or apply_command(draft, command)


def _owned(origin: Origin) -> str:
    """Keys of different users have nothing to do with each other."""
    return f"{origin.user_id}/{'' if origin.once is None else origin.once.key}"


def _remembered(draft: Draft, origin: Origin) -> AnyOutcome | None:
    if origin.once is None:
        return None
    record = draft.state.once.get(_owned(origin))
    if record is None or record.time_s <= draft.time_s - ONCE_TTL_S:
        return None
    if record.fingerprint != origin.once.fingerprint:
        return conflict("the Idempotency-Key was used for another request")
    return record.outcome


def _broken_guard(state: State, guard: Guard | None) -> Refusal | None:
    if guard is None:
        return None
    table: Map[str, object] = getattr(state, guard.table)
    row = table.get(guard.key)
    if row is None:
        return not_found(guard.table.removesuffix("s"), guard.key)
    if guard.digest != "*" and digest(row) != guard.digest:  # type: ignore[arg-type]
        return Refusal(code=RefusalCode.CHANGED, message=f"{guard.key!r} has changed since; get it again")
    return None


def _note(draft: Draft, origin: Origin, outcome: AnyOutcome) -> AuditNote:
    refusal = outcome if isinstance(outcome, Refusal) else None
    return AuditNote(
        time_s=draft.time_s,
        user_id=origin.user_id,
        address=origin.address,
        action=origin.action,
        target=origin.target,
        outcome="done" if refusal is None else refusal.code.value,
        message="" if refusal is None else refusal.message,
    )
