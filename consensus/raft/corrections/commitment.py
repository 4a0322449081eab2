"""The leader counts itself only after its own fdatasync, and leads only while a quorum answers.

Stock: the leader counts its entry the moment it is in its list, and keeps leading for 30 s without a quorum.
Commitment rule: Raft paper, section 5.4.2; check-quorum: Ongaro's dissertation, section 6.2.
"""

from __future__ import annotations

from typing import Any

from ..library import Library, Node


class Commitment(Library):
    """What is committed, at the leader."""

    def __init__(self, **parts: Any) -> None:
        self._quorum_checked_s = 0.0
        super().__init__(**parts)

    def advance_commit(self) -> None:
        """Commit what a majority of the voters has durably, if the newest of it is of our term."""
        if not self._isLeader():
            return
        indexes = [self._SyncObj__raftMatchIndex.get(node, 0) for node in self._SyncObj__otherNodes]
        if self.is_voter():
            indexes.append(self.journal.durable_index)
        indexes.sort()
        agreed = indexes[(len(indexes) - 1) // 2]
        if agreed > self.raftCommitIndex and self.journal.at(agreed).term == self.raftCurrentTerm:
            self._SyncObj__raftCommitIndex = agreed

    def check_quorum(self) -> None:
        """Step down when too few voters answered lately, or when we are no voter any more."""
        if not self._isLeader():
            return
        if not self.is_voter() and self.voter_history.latest_index <= self.raftCommitIndex:
            self._hand_over()
            self.step_down(self.raftCurrentTerm, "removed from the voters")
            return
        now_s = self.clock()
        if now_s < self._quorum_checked_s + self.settings.heartbeat_s:
            return
        self._quorum_checked_s = now_s
        heard = {node.id for node in self._SyncObj__otherNodes if self.answers(node)}
        if not self.is_quorum(heard | {self.node_id}):
            self.step_down(self.raftCurrentTerm, "no quorum answers")

    def answers(self, node: Node) -> bool:
        """At the leader: whether `node` answered lately."""
        progress = self.progress.get(node)
        return progress is not None and self.clock() - progress.heard_s < self.settings.leader_fallback_s

    def most_advanced_voter(self) -> Node | None:
        """The connected voter with the longest log."""
        voters = self._SyncObj__otherNodes & self._SyncObj__connectedNodes
        return max(voters, key=lambda node: (self._SyncObj__raftMatchIndex[node], node.id), default=None)

    def _hand_over(self) -> None:
        """Let the most advanced voter campaign at once, so that nobody waits for an election timeout."""
        heir = self.most_advanced_voter()
        if heir is not None:
            self.transport.send(heir, {"type": "timeout_now", "term": self.raftCurrentTerm})
