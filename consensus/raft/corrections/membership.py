"""One membership change at a time, and a voter set that follows the log.

Stock: the check for a change in flight is dead code; changes are done and undone on a set beside the log; a removed
node never learns it; a leader cannot remove itself. Single-server changes: Ongaro's dissertation, sections 4.1-4.2.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import structlog

from ..library import FAIL_REASON, MEMBERSHIP, Callback, Library, Node
from ..record import Entry
from ..voter_set import VoterChange, change_voters

_log = structlog.get_logger()


def encode_change(change: VoterChange) -> bytes:
    """The log command of a membership change."""
    return MEMBERSHIP + msgspec.msgpack.encode(change)


def decode_change(command: bytes) -> VoterChange | None:
    """The change in a log command, None if it is another kind of entry."""
    if command[:1] != MEMBERSHIP:
        return None
    return msgspec.msgpack.decode(command[1:], type=VoterChange)


class Membership(Library):
    """Voters come and go."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.journal.added = self._entry_added
        self.journal.cut = self._log_cut

    def propose_change(self, kind: Literal["add", "rem"], node_id: str, callback: Callback) -> None:
        """Queue a change; answered REQUEST_DENIED when it cannot be made now."""
        change = change_voters(self.voter_history.latest, kind, node_id)
        if change is None:
            callback(None, FAIL_REASON.REQUEST_DENIED)
        else:
            self._applyCommand(encode_change(change), callback)

    def is_settled(self) -> bool:
        """At the leader: an entry of its own term is applied, so that a change cannot pass an older, uncommitted one
        (the bug in single-server changes that Ongaro told raft-dev of in 2015)."""
        return bool(self.raftLastApplied >= (self._SyncObj__noopIDx or 0))

    def follow_voters(self) -> None:
        """Make the library's sets those of the newest voter set in the log."""
        wanted = {Node(voter) for voter in self.voter_history.latest} - {self._SyncObj__selfNode}
        for node in wanted - self._SyncObj__otherNodes:
            self._promote(node)
        for node in self._SyncObj__otherNodes - wanted:
            self._demote(node)

    def _promote(self, node: Node) -> None:
        self._SyncObj__otherNodes.add(node)
        self._SyncObj__readonlyNodes.discard(node)
        self._SyncObj__raftNextIndex.setdefault(node, self.journal.last.index + 1)
        self._SyncObj__raftMatchIndex.setdefault(node, 0)
        self.transport.addNode(node)

    def _demote(self, node: Node) -> None:
        self._SyncObj__otherNodes.discard(node)
        self.transport.dropNode(node)
        if self._isLeader():
            # It goes on being replicated to, as a learner: how else would it hear of its removal?
            self._SyncObj__readonlyNodes.add(node)
            self.transport.learner(node)

    def _entry_added(self, entry: Entry) -> None:
        change = decode_change(entry.command)
        if change is not None:
            self.voter_history.append(entry.index, change.voters)
            self.follow_voters()

    def _log_cut(self, last_index: int) -> None:
        self.voter_history.cut(last_index)
        self.follow_voters()

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> VoterChange | None:
        return decode_change(command)

    def _SyncObj__changeCluster(self, change: VoterChange) -> bool:
        """Whether the leader may append this change now."""
        if not self.is_settled():
            return False
        if self.voter_history.latest_index > self.raftCommitIndex:
            return False
        return change == change_voters(self.voter_history.latest, change.kind, change.node_id)

    def _SyncObj__doChangeCluster(self, change: VoterChange, reverse: bool = False) -> bool:
        """The library's own way of following changes; ours is `follow_voters`."""
        return True
