"""The state machine: entries in, the next State, answers and events out. The one door that changes the state.

Deterministic: the same entries give the same state, answers and events on every node. It applies each command once:
a number that its session has used already is answered with the answer of then (Ongaro's thesis, §6.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from consensus import snapshot
from consensus.apply.origin import apply_entry
from consensus.draft import Draft
from consensus.entry import CommandId, Entry, Part, decode, decode_entry
from consensus.events import EventLog
from consensus.fingerprint import Fingerprint, rows_after
from consensus.outcomes import AnyOutcome, Done, beyond, conflict
from consensus.state import State, freed_in_pieces
from consensus.watch import Watch

log = structlog.get_logger()

SESSION_TTL_S = 3600.0
CHECKPOINT_ENTRIES = 100
CHECKPOINTS_KEPT = 256
"""So many are compared with other nodes' that lag behind by up to 25,600 entries."""


class _Session(Struct):
    last_used_s: float
    answered_below: int = 1
    answers: dict[int, AnyOutcome] = {}


Written = Mapping[tuple[str, Any], None]
"""Rows, as (table, key)."""


class Machine:
    """One node's replica.

    Attributes:
        state: the newest State; it is replaced, never changed.
        index: the log index of the last applied entry.
        events: the history of events.
        watch: wakes those who wait for news.
        fault: why this node can apply no further entries, or None.
        fingerprint: of all that was applied; see fingerprint.py.
        checkpoints: its chain as of every hundredth entry or so, by index: the same indexes on every node.
    """

    def __init__(self) -> None:
        self.state = State()
        self.index = 0
        self.events = EventLog()
        self.watch = Watch()
        self.fault: str | None = None
        self.fingerprint = Fingerprint()
        self.checkpoints: dict[int, bytes] = {}
        self._sessions: dict[str, _Session] = {}
        self._parts: dict[CommandId, list[Part]] = {}
        self._written: dict[tuple[str, Any], None] = {}
        self._on_answer: list[Callable[[CommandId, int, AnyOutcome], None]] = []
        self._on_touch: list[Callable[[Set[str]], None]] = []
        self._on_write: list[Callable[[Written | None], None]] = []

    def on_answer(self, listener: Callable[[CommandId, int, AnyOutcome], None]) -> None:
        """`listener(command id, index, outcome)` is called after each applied command; it must not raise."""
        self._on_answer.append(listener)

    def on_touch(self, listener: Callable[[Set[str]], None]) -> None:
        """`listener(app names)` is called after each entry that wrote an app or tasks of it; it must not raise.

        So a reader need not compare everything with what it saw before. A restore touches all apps there are.
        """
        self._on_touch.append(listener)

    def off_touch(self, listener: Callable[[Set[str]], None]) -> None:
        """Ends what `on_touch` began."""
        self._on_touch.remove(listener)

    def on_write(self, listener: Callable[[Written | None], None]) -> None:
        """`listener(rows)` is called after each entry with the rows that it wrote; None after a restore: any of them.

        It must not raise.
        """
        self._on_write.append(listener)

    def off_write(self, listener: Callable[[Written | None], None]) -> None:
        """Ends what `on_write` began."""
        self._on_write.remove(listener)

    def _touch(self, apps: Set[str]) -> None:
        for listener in self._on_touch:
            listener(apps)

    def apply(self, index: int, data: bytes) -> AnyOutcome:
        """Applies one log entry. Never raises: an entry that this version cannot read is a `fault`."""
        if self.fault is not None:
            return conflict(self.fault)
        try:
            outcome = self._apply(index, data)
        except Exception as error:
            # Going on would make this node differ from the others, silently and for good.
            self.fault = f"cannot apply entry {index}: {error!r}"
            log.critical("state_machine_stopped", index=index, exc_info=error)
            outcome = conflict(self.fault)
        self.watch.advance(index)
        return outcome

    def _apply(self, index: int, data: bytes) -> AnyOutcome:
        item = decode(data)
        previous, self.index = self.index, index
        if isinstance(item, Part):
            whole = self._assemble(item)
            if whole is None:
                self._fingerprint(previous, data, None, self.fingerprint.rows)
                return Done()
            item = decode_entry(whole)
        before, written = self.state, self._written
        written.clear()
        outcome = self._apply_once(index, item)
        self._fingerprint(previous, data, outcome, rows_after(self.fingerprint.rows, before, self.state, written))
        for listener in self._on_answer:
            listener(item.id, index, outcome)
        return outcome

    def _fingerprint(self, previous: int, data: bytes, outcome: AnyOutcome | None, rows: int) -> None:
        self.fingerprint = self.fingerprint.after(self.index, data, outcome, rows)
        # Some indexes are not ours (elections, voters), so that a hundredth entry may not be.
        if self.index // CHECKPOINT_ENTRIES > previous // CHECKPOINT_ENTRIES:
            self.checkpoints[self.index] = self.fingerprint.chain
            if len(self.checkpoints) > CHECKPOINTS_KEPT:
                del self.checkpoints[next(iter(self.checkpoints))]

    def _assemble(self, part: Part) -> bytes | None:
        """The whole entry once its last part is here. A retry starts again with part 0."""
        parts = self._parts.get(part.id, [])
        if part.number == 0:
            parts = self._parts[part.id] = []
        if part.number != len(parts):
            return None
        parts.append(part)
        if len(parts) < part.of:
            return None
        del self._parts[part.id]
        return b"".join(piece.data for piece in parts)

    def _apply_once(self, index: int, entry: Entry) -> AnyOutcome:
        session = self._session(entry)
        number = entry.id.number
        if number in session.answers:
            return session.answers[number]
        if number < session.answered_below:
            return conflict(f"command {number} of session {entry.id.session} was answered before")
        session.answered_below = max(session.answered_below, entry.answered_below)
        for answered in [n for n in session.answers if n < session.answered_below]:
            del session.answers[answered]
        if entry.level > self.state.feature_level:
            # The cluster agreed on less when this was applied, whatever its proposer saw: so says every node.
            outcome: AnyOutcome = beyond(self.state.feature_level, entry.level)
            session.answers[number] = outcome
            return outcome
        draft = Draft(self.state, index=index, time_s=entry.time_s, command_id=entry.id)
        draft, outcome = apply_entry(draft, entry)
        session.answers[number] = outcome
        self.state = draft.state
        self._written.update(draft.written)
        self.events.append(draft.events)
        if draft.touched_apps:
            self._touch(draft.touched_apps)
        for listener in self._on_write:
            listener(draft.written)
        return outcome

    def _session(self, entry: Entry) -> _Session:
        session = self._sessions.get(entry.id.session)
        if session is None:
            horizon_s = entry.time_s - SESSION_TTL_S
            expired = {name for name, s in self._sessions.items() if s.last_used_s <= horizon_s}
            self._sessions = {name: s for name, s in self._sessions.items() if name not in expired}
            self._parts = {k: parts for k, parts in self._parts.items() if k.session not in expired}
            session = self._sessions[entry.id.session] = _Session(entry.time_s)
        session.last_used_s = entry.time_s
        return session

    def image(self) -> Callable[[], Iterator[bytes]]:
        """An encoder of the state as it is now: piece by piece, for a worker thread.

        The encoder raises StateDamaged where the state is not what the entries made of it.
        """
        image = snapshot.Image(
            index=self.index,
            fingerprint=self.fingerprint,
            state=self.state,
            sessions=[
                snapshot.SessionRecord(name, s.last_used_s, s.answered_below, dict(s.answers))
                for name, s in sorted(self._sessions.items())
            ],
            parts=[part for parts in self._parts.values() for part in parts],
            history=self.events.freeze(),
        )
        return lambda: snapshot.encode(image)

    def load(self, data: bytes | memoryview) -> Callable[[], Iterator[None]]:
        """Decodes a snapshot, which may be done in a worker thread; the returned function replaces everything by it.

        That one returns an iterator that frees the old state, a piece at each step.

        Raises:
            ValueError: it is not one, or of a newer schema.
        """
        try:
            image = snapshot.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"not a snapshot: {error}") from error
        events = EventLog(image.history)
        sessions = {r.session: _Session(r.last_used_s, r.answered_below, dict(r.answers)) for r in image.sessions}
        return lambda: self._put_in_place(image, events, sessions)

    def freeze(self) -> Callable[[], bytes]:
        """As `image`, in one piece."""
        pieces = self.image()
        return lambda: b"".join(pieces())

    def restore(self, data: bytes) -> None:
        """As `load`, at once."""
        self.load(data)()

    def _put_in_place(self, image: snapshot.Image, events: EventLog, sessions: dict[str, _Session]) -> Iterator[None]:
        freeing = freed_in_pieces([self.state])
        self.state, self.index = image.state, image.index
        self.fingerprint, self.checkpoints = image.fingerprint, {}
        self.events, self._sessions, self._parts = events, sessions, {}
        for part in image.parts:
            self._parts.setdefault(part.id, []).append(part)
        self._touch(self.state.workloads)
        for listener in self._on_write:
            listener(None)
        self.watch.advance(image.index)
        return freeing
