"""A follower cuts its log only on a conflict, and commits only what the message at hand verified.

Stock (design.md §10 B and C): every append cuts the log after `prevLogIdx`, applied entries too; snapshot messages
and bare heartbeats advance the commit index over a tail that was never compared with the leader's. Acknowledged
writes were lost on all nodes after a SIGSTOP of the leader. Raft paper, section 5.3 and figure 2.
"""

from __future__ import annotations

from typing import Any

from ..errors import RaftError
from ..library import Library, Message, Node
from ..record import Entry


class LogMatching(Library):
    """Appends, at the follower."""

    def __init__(self, **parts: Any) -> None:
        self._answering = 0
        super().__init__(**parts)

    def handle(self, node: Node, message: Message) -> None:
        if message["type"] != "append_entries":
            super().handle(node, message)
        elif self.accept_leader(node, message):
            self._append(node, message)

    def accept_leader(self, node: Node, message: Message) -> bool:
        """Whether `message` comes from the leader of a current term; tells an old leader that it is one."""
        if message["term"] < self.raftCurrentTerm:
            self.transport.send(node, {"type": "stale", "term": self.raftCurrentTerm})
            return False
        if message["term"] > self.raftCurrentTerm or self._isLeader():
            self.step_down(message["term"], "a newer leader exists")
        self.heard_leader()
        self._answering = message["exchange"]
        return True

    def note_leader(self, node: Node, message: Message, verified_index: int) -> None:
        """The library's bookkeeping of term and leader; commits up to `verified_index` at most."""
        commit_index = min(message.get("commit_index", 0), verified_index)
        contact = {"type": "append_entries", "term": message["term"], "commit_index": commit_index}
        super().handle(node, contact)

    def _append(self, node: Node, message: Message) -> None:
        if "prevLogIdx" not in message:
            self.note_leader(node, message, self.raftCommitIndex)
            self._SyncObj__sendNextNodeIdx(node)
            return
        log = self.journal
        previous, previous_term = message["prevLogIdx"], message["prevLogTerm"]
        entries = [Entry(*entry) for entry in message["entries"]]
        if previous < log.first.index:
            # Compacted here, so committed, so the leader has the same.
            previous, previous_term = log.first.index, log.first.term
            entries = [entry for entry in entries if entry.index > previous]
        if not log.holds(previous) or log.at(previous).term != previous_term:
            self.note_leader(node, message, self.raftCommitIndex)
            self._SyncObj__sendNextNodeIdx(node, reset=True, nextNodeIdx=self._retry_from(previous))
            return
        verified = previous
        while entries and log.holds(verified + 1) and log.at(verified + 1).term == entries[0].term:
            verified += 1
            del entries[0]
        if not entries:
            self.note_leader(node, message, verified)
            if not message.get("quiet"):
                self._SyncObj__sendNextNodeIdx(node, success=True, nextNodeIdx=verified + 1)
            return
        if verified < self.raftCommitIndex:
            raise RaftError(f"{node.id} wants to replace entry {verified + 1}, which is committed here")
        message["prevLogIdx"], message["prevLogTerm"] = verified, log.at(verified).term
        message["entries"] = entries
        message["commit_index"] = min(message["commit_index"], entries[-1].index)
        super().handle(node, message)

    def _retry_from(self, previous: int) -> int:
        """Where the leader should try next: our end, or the first entry of the conflicting term."""
        log = self.journal
        if not log.holds(previous):
            return log.last.index + 1
        term, index = log.at(previous).term, previous
        while index - 1 > max(self.raftCommitIndex, log.first.index) and log.at(index - 1).term == term:
            index -= 1
        return index

    def _SyncObj__sendNextNodeIdx(
        self, node: Node, reset: bool = False, nextNodeIdx: int | None = None, success: bool = False
    ) -> None:
        """The library's answer to an append, with the exchange that it answers."""
        next_index = self.journal.last.index + 1 if nextNodeIdx is None else nextNodeIdx
        answer = {"type": "next_node_idx", "next_node_idx": next_index, "reset": reset, "success": success}
        self.transport.send(node, answer | {"exchange": self._answering})
