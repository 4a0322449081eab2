"""Leadership handed over on purpose, so that a planned restart costs a round trip and not an election timeout.

Stock: refuses unless the follower happens to be level at that very moment, and takes new commands meanwhile.
Ongaro's dissertation, section 3.10.
"""

from __future__ import annotations

from typing import Any

from ..library import Library, Node


class Transfer(Library):
    """At the leader: no new commands, level the heir, and tell it to campaign."""

    def __init__(self, **parts: Any) -> None:
        self.transferring = False
        self._heir: Node | None = None
        self._told: tuple[Node, float] | None = None
        super().__init__(**parts)

    def begin_transfer(self, heir: str | None = None) -> None:
        """To the voter `heir`, or to the one that is ahead of the others."""
        self.transferring = True
        self._heir = None if heir is None else Node(heir)
        self._told = None

    def end_transfer(self) -> None:
        self.transferring = False

    def transfer_if_level(self) -> None:
        """Tell a voter that has our whole log to campaign; again after a while, if nothing came of it."""
        if not self.transferring or not self._isLeader():
            return
        now_s = self.clock()
        if self._told is not None and now_s - self._told[1] < self.settings.election_timeout_min_s:
            return
        heir = self._heir or self.most_advanced_voter()
        if heir in self._SyncObj__otherNodes and self._SyncObj__raftMatchIndex[heir] == self.journal.last.index:
            self._told = (heir, now_s)
            self.transport.send(heir, {"type": "timeout_now", "term": self.raftCurrentTerm})
