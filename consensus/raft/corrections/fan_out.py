"""Learners are spoken to off the commit path, in rounds, and a slice of a round at a time.

Stock: whoever reads along gets every entry in the very step that appends it, and again the news of its commit; each
answer makes the leader look at all of them. 300 learners cost it 28 ms a write. Here they get what is committed, in
one message with the news that it is, and entries that come while a round is under way go together with the next.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from ..library import Message, Node
from .replication import Progress, Replication

_ROUNDS_A_HEARTBEAT = 4


class FanOut(Replication):
    """Learners, at the leader."""

    def __init__(self, **parts: Any) -> None:
        self._round: deque[Node] = deque()
        self._round_began_s = -math.inf
        self._round_commit = 0
        """What was committed when the round began; news of more waits for the next."""
        super().__init__(**parts)

    def speak_to_learners(self) -> None:
        """Go on with the round for a slice of time, or begin one if it is due; `wants_pump` says that more is there."""
        now_s = self.clock()
        if not self._round and now_s >= self.next_round_s():
            self._round_began_s, self._round_commit = now_s, self.raftCommitIndex
            self._round.extend(self._SyncObj__readonlyNodes & self._SyncObj__connectedNodes)
        end_s = now_s + self.settings.fan_out_slice_s
        while self._round:
            node = self._round.popleft()
            if node in self._SyncObj__connectedNodes and self.is_follower(node):
                self._replicate_to(node, now_s)
            if self._round and self.clock() >= end_s:
                self.wants_pump = True
                return

    def next_round_s(self) -> float:
        """When the next round may begin: soon if there is news, else after a part of the heartbeat's time."""
        learners = len(self._SyncObj__readonlyNodes)
        if not learners:
            return math.inf
        if self.raftCommitIndex > self._round_commit:
            return self._round_began_s + learners * self.settings.learner_pace_s
        return self._round_began_s + self.settings.learner_heartbeat_s / _ROUNDS_A_HEARTBEAT

    def last_for(self, node: Node) -> int:
        if node in self._SyncObj__otherNodes:
            return super().last_for(node)
        committed: int = self.raftCommitIndex
        return committed

    def _SyncObj__onBecomeLeader(self) -> None:
        self._round.clear()
        self._round_began_s, self._round_commit = -math.inf, 0
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__onReadonlyNodeConnected(self, node: Node) -> None:
        super()._SyncObj__onReadonlyNodeConnected(node)
        self._round.append(node)

    def _on_append_answer(self, node: Node, progress: Progress, message: Message) -> None:
        super()._on_append_answer(node, progress, message)
        self._go_on_with(node)

    def _on_snapshot_answer(self, node: Node, progress: Progress, message: Message) -> None:
        super()._on_snapshot_answer(node, progress, message)
        self._go_on_with(node)

    def _go_on_with(self, node: Node) -> None:
        """A learner that is behind the last round gets the rest of it now."""
        if node in self._SyncObj__readonlyNodes and self._SyncObj__raftNextIndex[node] <= self._round_commit:
            self._round.append(node)
