"""PySyncObj with all corrections, and its tick in our order."""

from __future__ import annotations

from collections import deque
from queue import Empty
from typing import Any

import structlog

from .corrections.applying import Applying
from .corrections.commitment import Commitment
from .corrections.compaction import Compaction
from .corrections.elections import Elections
from .corrections.fan_out import FanOut
from .corrections.log_matching import LogMatching
from .corrections.membership import Membership
from .corrections.transfer import Transfer
from .library import FAIL_REASON, LEADER, Callback, Message, Node
from .messages import is_well_formed
from .voter_set import VoterSet

_log = structlog.get_logger()
_INBOX_MAX = 10_000


class Core(Elections, LogMatching, FanOut, Commitment, Transfer, Applying, Membership, Compaction):
    """One node's consensus: messages and commands in, messages and applied entries out. Does not block or wait."""

    def __init__(self, *, applied_index: int, committed_voters: tuple[int, VoterSet], **parts: Any) -> None:
        self._inbox: deque[tuple[str, Message]] = deque()
        self._has_commands = False
        self._batch_entries = 0
        self._hello_s = self._looked_around_s = 0.0
        super().__init__(**parts)
        self.committed_voters_index, self.committed_voters = committed_voters
        self._SyncObj__raftLastApplied = applied_index
        self._SyncObj__raftCommitIndex = applied_index

    def receive(self, node_id: str, body: Any) -> None:
        """Take a message from a link; it is handled in the next tick. Drops what is malformed."""
        if not is_well_formed(body) or len(self._inbox) >= _INBOX_MAX:
            _log.warning("raft_message_dropped", node_id=self.node_id, peer=node_id)
            return
        self._inbox.append((node_id, body))

    def _onTick(self, timeToWait: float = 0.0) -> None:
        """The library's tick in our order: commit what is durable, tell and send, sync meanwhile, apply in slices."""
        self.wants_pump = False
        if self._inbox:
            self._read_inbox()
        self.elect()
        self.advance_commit()
        if self._has_commands:
            self._checkCommandsToApply()
        if self._SyncObj__raftState == LEADER:
            self.replicate()
            self.check_quorum()
            self.transfer_if_level()
        if self._SyncObj__raftLastApplied < self._SyncObj__raftCommitIndex:
            self._SyncObj__applyLogEntries()
            self.compact_if_due()
        if self._SyncObj__raftState == LEADER and self._SyncObj__readonlyNodes:
            self.speak_to_learners()
        self._look_around()

    def _read_inbox(self) -> None:
        """For one slice of time: hundreds of learners may have answered."""
        end_s = self.clock() + self.settings.inbox_slice_s
        while self._inbox:
            node_id, message = self._inbox.popleft()
            self._SyncObj__onMessageReceived(Node(node_id), message)
            if self._inbox and self.clock() >= end_s:
                self.wants_pump = True
                return

    def next_tick_s(self) -> float:
        """By its clock, when there is something to do even if nothing happens until then."""
        due_s = self._looked_around_s + 2 * self.settings.look_around_s
        if self._isLeader():
            return min(due_s, self.next_heartbeat_s(), self.next_round_s())
        return min(due_s, self.next_election_s())

    def _look_around(self) -> None:
        """What needs no haste: in the first tick that comes by when it is due, and much later in one of its own."""
        now_s = self.clock()
        if now_s >= self._looked_around_s + self.settings.look_around_s:
            self._looked_around_s = now_s
            self._greet_leader()
            self.transport.expire_guests(now_s, self.settings.guest_expiry_s)

    def _SyncObj__onMessageReceived(self, node: Node, message: Message) -> None:
        if message["type"] == "learner":
            self._on_learner(node, message)
            return
        self.transport.hear(node)
        self.handle(node, message)

    def _checkCommandsToApply(self) -> None:
        """Append what was proposed, for one slice of time. Never forwards to another leader: the proposer is told.

        While the leadership is handed over proposals wait: for the next leader's news, or for the end of the attempt.
        """
        if self._isLeader() and self.transferring:
            return
        leads, before = self._isLeader() and not self.storage_full, self.journal.last.index
        end_s = self.clock() + self.settings.inbox_slice_s
        while (queued := self._next_command()) is not None:
            if leads:
                self._append_command(*queued)
            else:
                self.answer(queued[1], None, FAIL_REASON.NOT_LEADER)
            if self.clock() >= end_s:
                self.wants_pump = True
                break
        else:
            self._has_commands = False
        self._batch_entries = self.journal.last.index - before

    def _append_command(self, command: bytes, callback: Callback) -> None:
        change = self._SyncObj__parseChangeClusterRequest(command)
        if change is not None and not self._SyncObj__changeCluster(change):
            self.answer(callback, None, FAIL_REASON.REQUEST_DENIED)
            return
        index, term = self.journal.last.index + 1, self._SyncObj__raftCurrentTerm
        self.journal.add(command, index, term)
        self._SyncObj__commandsWaitingCommit[index].append((term, callback))

    def _applyCommand(self, command: bytes, callback: Callback, commandType: int | None = None) -> None:
        """Queue one: see `_checkCommandsToApply`."""
        self._has_commands = True
        super()._applyCommand(command, callback, commandType)

    def is_quiet(self) -> bool:
        """At the leader: whether a command that is proposed now had better be sent at once than with others.

        Never at a sole voter: it awaits nobody, and would sync for each of many.
        """
        if self._batch_entries > 1 or self.durability.flushing or not self._SyncObj__otherNodes:
            return False
        return not self.is_awaiting_answers()

    def _next_command(self) -> Any:
        queue = self._SyncObj__commandsQueue
        try:
            return queue.get_nowait()
        except Empty:
            return None

    def set_storage_full(self, full: bool) -> None:
        """The disk has no room (any more, or again): do not lead without it."""
        if self.storage_full != full:
            self.pump_soon()
        self.storage_full = full
        if full and self._isLeader():
            self.step_down(self.raftCurrentTerm, "no room on disk")

    def follower_lags(self) -> dict[str, int]:
        """At the leader: how many committed entries each follower is not known to have."""
        if not self._isLeader():
            return {}
        commit = self.raftCommitIndex
        return {node.id: max(0, commit - self._SyncObj__raftMatchIndex.get(node, 0)) for node in self.followers()}

    def _greet_leader(self) -> None:
        """A learner that hears no leader makes itself known to every voter it can reach.

        So does a voter after a while: it may have lost its vote while it was away, and nobody would tell it.
        """
        now_s = self.clock()
        period_s = self.settings.learner_heartbeat_s
        if self._isLeader() or now_s - self._hello_s < period_s:
            return
        is_voter = self.is_voter()
        is_fresh = self.contact_age_s < (self.settings.leader_fallback_s if is_voter else 2 * period_s)
        if is_fresh and (is_voter or self._getLeader() is not None):
            return
        self._hello_s = now_s
        for node_id in self.transport.reachable():
            self.transport.send(Node(node_id), {"type": "learner", "last_log_index": self.journal.last.index})

    def _on_learner(self, node: Node, message: Message) -> None:
        if not self._isLeader():
            return
        self.transport.learner(node)
        if message["last_log_index"] < self._SyncObj__raftMatchIndex.get(node, 0) and node in self.readonlyNodes:
            # Same name, empty disk: what it had acknowledged is gone.
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__raftNextIndex[node] = self.journal.last.index + 1
