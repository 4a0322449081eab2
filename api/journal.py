"""What is written down of requests that change nothing: logins, denials, uses of API keys.

Changes are in the audit log with their own log entry (consensus/apply/origin.py); these are proposed in batches.
"""

from __future__ import annotations

import structlog
import trio

from api.deps import Deps
from consensus.commands import RecordAccess
from consensus.errors import ConsensusError
from consensus.model.audit import AuditNote

log = structlog.get_logger()

MAX_WAITING = 2000
MAX_BATCH = 200
PAUSE_S = 1.0
KEY_USE_PRECISION_S = 60.0
_MAX_TEXT = 200


class Journal:
    """Notes wait here until `run` has proposed them; beyond `MAX_WAITING` new ones are only logged."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._notes: list[AuditNote] = []
        self._key_uses: dict[str, float] = {}
        self._news = trio.Event()

    def note(self, *, user_id: str, address: str, action: str, target: str, outcome: str, message: str = "") -> None:
        note = AuditNote(
            time_s=self._deps.now_s(),
            user_id=user_id[:_MAX_TEXT],
            address=address,
            action=action,
            target=target[:_MAX_TEXT],
            outcome=outcome,
            message=message[:_MAX_TEXT],
        )
        if len(self._notes) >= MAX_WAITING:
            log.warning("audit_note_dropped", user_id=note.user_id, address=address, action=action, outcome=outcome)
            return
        self._notes.append(note)
        self._news.set()

    def key_used(self, key_id: str) -> None:
        key, now_s = self._deps.replica.state.api_keys.get(key_id), self._deps.now_s()
        if key is None or now_s - max(key.last_used_s or 0, self._key_uses.get(key_id, 0)) < KEY_USE_PRECISION_S:
            return
        self._key_uses[key_id] = now_s
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            await trio.sleep(PAUSE_S)
            await self.flush()

    async def flush(self) -> None:
        """Proposes what waits; what cannot be agreed now is kept for the next time."""
        while self._notes or self._key_uses:
            notes, uses = self._notes[:MAX_BATCH], dict(self._key_uses)
            try:
                await self._deps.proposer.propose(RecordAccess(notes=notes, key_uses=uses))
            except ConsensusError as error:
                log.info("audit_notes_wait", notes=len(self._notes), error=str(error))
                return
            del self._notes[: len(notes)]
            self._key_uses = {key: used_s for key, used_s in self._key_uses.items() if uses.get(key) != used_s}
        self._news = trio.Event()
