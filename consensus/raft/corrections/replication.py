"""One exchange in flight per follower, and heartbeats beside it.

Stock (design.md §10 D): no flow control, every stale answer resends everything; a resumed leader left a follower
8,000 entries behind for over 20 s. Answers carry no term, and success moves the next index back.
"""

from __future__ import annotations

import math
from typing import Any

from ..library import Library, Message, Node
from ..snapshot_store import SnapshotSending

_NEARLY = 0.9


class Progress:
    """What the leader knows of one follower. Times by the leader's clock, in seconds."""

    def __init__(self, now_s: float) -> None:
        self.in_flight: int | None = None
        """The exchange that is not answered yet."""
        self.sent_s = now_s
        """When that was sent."""
        self.spoke_s = 0.0
        """When anything was sent last."""
        self.spoken = 0
        """The newest exchange sent, in flight or not."""
        self.told_commit = 0
        """The commit index it was told, as far as the message verified its log: further it must not commit (B)."""
        self.answered = 0
        """The newest exchange answered: proof that the follower accepted us after it was sent."""
        self.heard_s = now_s
        self.snapshot: SnapshotSending | None = None

    def close(self) -> None:
        if self.snapshot is not None:
            self.snapshot.close()
            self.snapshot = None


class Replication(Library):
    """Appends, at the leader."""

    def __init__(self, **parts: Any) -> None:
        self._exchange = 0
        self._confirm_after = 0
        self._news_of = 0
        self.news_due_s = -math.inf
        """When voters are told of what is committed, if no append did so before."""
        super().__init__(**parts)

    def replicate(self) -> None:
        """Send to every other voter what is due."""
        now_s = self.clock()
        if self.raftCommitIndex > self._news_of:
            self._news_of, self.news_due_s = self.raftCommitIndex, now_s + self.settings.commit_news_s
        for node in self._SyncObj__otherNodes & self._SyncObj__connectedNodes:
            self._replicate_to(node, now_s)

    _SyncObj__sendAppendEntries = replicate

    def tell_commit(self, node_id: str) -> None:
        """Tell this voter now what is committed, unless an append is on its way that will tell it."""
        node = Node(node_id)
        if self._isLeader() and node in self._SyncObj__otherNodes and node in self._SyncObj__connectedNodes:
            progress = self._progress_of(node)
            if self._has_commit_news(node, progress):
                self._tell_commit(node, progress)

    def is_awaiting_answers(self) -> bool:
        """Whether some voter owes one to entries."""
        return any(self._progress_of(node).in_flight is not None for node in self._SyncObj__otherNodes)

    def next_heartbeat_s(self) -> float:
        """When one of the other voters is to be spoken to again; never, if there is none."""
        if not self._SyncObj__otherNodes:
            return math.inf
        voters = self._SyncObj__otherNodes & self._SyncObj__connectedNodes
        now_s = self.clock()
        spoke_s = min((self._progress_of(node).spoke_s for node in voters), default=now_s)
        due_s = spoke_s + self.settings.heartbeat_s
        return min(due_s, self.news_due_s) if self.news_due_s > now_s else due_s

    def begin_confirmation(self) -> int:
        """Speak to every voter at once; the returned exchange is confirmed when a quorum answered a later one."""
        self._confirm_after = self._exchange
        self.replicate()
        return self._confirm_after

    def is_confirmed(self, exchange: int) -> bool:
        """Whether a quorum accepted this leader after `exchange`."""
        agreeing = {node.id for node, progress in self.progress.items() if progress.answered > exchange}
        return self.is_quorum(agreeing | {self.node_id})

    def handle(self, node: Node, message: Message) -> None:
        match message["type"]:
            case "next_node_idx":
                if (progress := self._answered(node, message)) is not None:
                    self._on_append_answer(node, progress, message)
            case "snapshot_answer":
                if (progress := self._answered(node, message)) is not None:
                    self._on_snapshot_answer(node, progress, message)
            case _:
                super().handle(node, message)

    def _SyncObj__onBecomeLeader(self) -> None:
        for progress in self.progress.values():
            progress.close()
        self.progress = {}
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__onNodeConnected(self, node: Node) -> None:
        super()._SyncObj__onNodeConnected(node)
        self._nothing_in_flight(node)

    def _SyncObj__onReadonlyNodeConnected(self, node: Node) -> None:
        super()._SyncObj__onReadonlyNodeConnected(node)
        self._nothing_in_flight(node)

    def _nothing_in_flight(self, node: Node) -> None:
        """A new link: what was in flight on the old one may be lost, and waiting it out would cost seconds."""
        if (progress := self.progress.get(node)) is not None:
            progress.in_flight = None

    def _progress_of(self, node: Node) -> Progress:
        progress = self.progress.get(node)
        if progress is None:
            progress = self.progress[node] = Progress(self.clock())
        return progress

    def _replicate_to(self, node: Node, now_s: float) -> None:
        progress = self._progress_of(node)
        if progress.in_flight is None or now_s - progress.sent_s > self.settings.exchange_timeout_s:
            next_index = self._SyncObj__raftNextIndex[node]
            if next_index <= self.journal.first.index:
                if self._send_chunk(node, progress, now_s):
                    return
            elif next_index <= (last := self.last_for(node)) or not self._SyncObj__raftMatchIndex[node]:
                self._send_entries(node, progress, now_s, next_index, last)
                return
        if self._owes_heartbeat(node, progress, now_s):
            self._send(node, progress, now_s, self._heartbeat(node))
        elif progress.in_flight is None and self._has_commit_news(node, progress) and self._may_tell(node, now_s):
            # Else the next message, after its answer, will tell.
            self._tell_commit(node, progress)

    def _has_commit_news(self, node: Node, progress: Progress) -> bool:
        matched = self._SyncObj__raftMatchIndex[node]
        # Where the log does not reach back to what the follower has, nothing could be verified, or told.
        return progress.told_commit < min(self.raftCommitIndex, matched) and self.journal.holds(matched)

    def _may_tell(self, node: Node, now_s: float) -> bool:
        """Voters wait for the next append for a moment, learners have waited for their round."""
        return now_s >= self.news_due_s or node not in self._SyncObj__otherNodes

    def last_for(self, node: Node) -> int:
        """Index of the newest entry that `node` may have now."""
        return self.journal.last.index

    def _owes_heartbeat(self, node: Node, progress: Progress, now_s: float) -> bool:
        is_voter = node in self._SyncObj__otherNodes
        period_s = self.settings.heartbeat_s if is_voter else self.settings.learner_heartbeat_s
        # A little early, so that all who are due at about the same time are spoken to in one step.
        if now_s - progress.spoke_s >= _NEARLY * period_s:
            return True
        return is_voter and progress.spoken <= self._confirm_after

    def _send_entries(self, node: Node, progress: Progress, now_s: float, next_index: int, last: int) -> None:
        count = min(self.settings.batch_entries, last + 1 - next_index)
        batch = self._SyncObj__getEntries(next_index, count, self.settings.batch_bytes) if count > 0 else []
        self._send_exchange(node, progress, now_s, self._append_message(next_index - 1, batch))

    def _heartbeat(self, node: Node) -> Message:
        matched = self._SyncObj__raftMatchIndex[node]
        return self._append_message(matched, []) if self.journal.holds(matched) else {"type": "append_entries"}

    def _tell_commit(self, node: Node, progress: Progress) -> None:
        """News of a commit wants no answer: that would be half of all messages. It does not count as a heartbeat."""
        self._post(node, progress, self._heartbeat(node) | {"quiet": True})

    def _append_message(self, previous: int, entries: list[Any]) -> Message:
        term = self.journal.at(previous).term
        return {
            "type": "append_entries",
            "prevLogIdx": previous,
            "prevLogTerm": term,
            "entries": [list(entry) for entry in entries],
        }

    def _send_chunk(self, node: Node, progress: Progress, now_s: float) -> bool:
        if progress.snapshot is None:
            progress.snapshot = self.snapshots.open_sending()
        if progress.snapshot is None:
            return False
        chunk = progress.snapshot.chunk(self.settings.snapshot_chunk_bytes)
        self._send_exchange(node, progress, now_s, {"type": "snapshot_chunk"} | chunk)
        return True

    def _send_exchange(self, node: Node, progress: Progress, now_s: float, message: Message) -> None:
        if self._send(node, progress, now_s, message):
            progress.in_flight, progress.sent_s = self._exchange, now_s

    def _send(self, node: Node, progress: Progress, now_s: float, message: Message) -> bool:
        sent = self._post(node, progress, message)
        progress.spoke_s, progress.spoken = now_s, self._exchange
        return sent

    def _post(self, node: Node, progress: Progress, message: Message) -> bool:
        self._exchange += 1
        verified = message.get("prevLogIdx", 0) + len(message.get("entries", ()))
        progress.told_commit = min(self.raftCommitIndex, verified)
        about = {"term": self.raftCurrentTerm, "commit_index": self.raftCommitIndex, "exchange": self._exchange}
        return self.transport.send(node, message | about)

    def _answered(self, node: Node, message: Message) -> Progress | None:
        if not self._isLeader() or message["from_term"] != self.raftCurrentTerm:
            return None
        if node not in self._SyncObj__raftMatchIndex or not self.is_follower(node):
            return None
        progress = self._progress_of(node)
        progress.heard_s = self.clock()
        progress.answered = max(progress.answered, message["exchange"])
        if progress.in_flight == message["exchange"]:
            progress.in_flight = None
        return progress

    def _on_append_answer(self, node: Node, progress: Progress, message: Message) -> None:
        match_index, next_index = self._SyncObj__raftMatchIndex, self._SyncObj__raftNextIndex
        theirs = message["next_node_idx"]
        if message["success"]:
            match_index[node] = max(match_index[node], theirs - 1)
            next_index[node] = match_index[node] + 1
        elif message["reset"]:
            next_index[node] = max(match_index[node] + 1, min(theirs, self.journal.last.index + 1))

    def _on_snapshot_answer(self, node: Node, progress: Progress, message: Message) -> None:
        snapshot = progress.snapshot
        if snapshot is None or snapshot.index != message["snapshot"]:
            return
        if not message["done"]:
            snapshot.offset = message["offset"]
            return
        progress.close()
        match_index, next_index = self._SyncObj__raftMatchIndex, self._SyncObj__raftNextIndex
        match_index[node] = max(match_index[node], snapshot.index)
        next_index[node] = match_index[node] + 1
