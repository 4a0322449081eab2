"""Applying never raises, never applies twice, and never holds the loop.

Stock (design.md §10 E): a replicated method that raises is retried for ever and stops the cluster; a callback that
raises applies the entry twice; all that is committed is applied in one go.
"""

from __future__ import annotations

from typing import Any

import structlog

from ..errors import ApplyFailed
from ..library import FAIL_REASON, MEMBERSHIP, REGULAR, Callback, Library
from ..record import Entry

_log = structlog.get_logger()


class Applying(Library):
    """Committed entries, one by one, to the state machine; none while `applying_held`: its state is being replaced."""

    def __init__(self, **parts: Any) -> None:
        self.applying_held = False
        super().__init__(**parts)

    def _SyncObj__applyLogEntries(self) -> bool:
        """Apply for one slice of time; `wants_pump` says that more is there."""
        end_s = self.clock() + self.settings.apply_slice_s
        while self.raftLastApplied < self.raftCommitIndex and not self.applying_held:
            if self.clock() >= end_s:
                self.wants_pump = True
                break
            entry = self.journal.at(self.raftLastApplied + 1)
            result = self._apply(entry)
            self._SyncObj__raftLastApplied = entry.index
            for term, callback in self._SyncObj__commandsWaitingCommit.pop(entry.index, []):
                if term == entry.term:
                    self.answer(callback, result, FAIL_REASON.SUCCESS)
                else:
                    self.answer(callback, None, FAIL_REASON.DISCARDED)
        return False

    def forget_waiting(self, index: int) -> None:
        """A snapshot jumped over everything up to `index`: what came of those proposals is not known here."""
        for waiting in [i for i in self._SyncObj__commandsWaitingCommit if i <= index]:
            for _, callback in self._SyncObj__commandsWaitingCommit.pop(waiting):
                self.answer(callback, None, FAIL_REASON.UNKNOWN_OUTCOME)

    def answer(self, callback: Callback | None, result: Any, reason: int) -> None:
        """Call back; an error in there must not undo the entry."""
        if callback is None:
            return
        try:
            callback(result, reason)
        except Exception:
            _log.exception("raft_callback_raised", node_id=self.node_id)

    def _apply(self, entry: Entry) -> Any:
        kind, body = entry.command[:1], entry.command[1:]
        if kind == MEMBERSHIP and entry.index > self.committed_voters_index:
            self.committed_voters_index = entry.index
            self.committed_voters = self.voter_history.at(entry.index)
        if kind != REGULAR:
            return None
        try:
            return self.machine.apply(entry.index, body)
        except Exception as error:
            # Every node gets the same error from the same entry, so carrying on keeps them equal.
            _log.exception("raft_apply_raised", node_id=self.node_id, index=entry.index)
            return ApplyFailed(entry.index, repr(error))
