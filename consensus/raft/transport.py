"""PySyncObj's Transport over `RaftLinks`: node ids for addresses, bounded queues, no pickle, no listener.

Two kinds of nodes have a link: the other voters, always; and guests, who spoke to us without being voters of ours
(learners, or voters that our log does not know yet), for as long as they are heard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pysyncobj.transport import Transport

from .library import Node
from .links import RaftLinks

if TYPE_CHECKING:
    from .library import Library, Message

_PROMISES = frozenset({"response_vote", "request_vote"})


class LinkTransport(Transport):  # type: ignore[misc]
    """Made by SyncObj as `transportClass(syncObj, selfNode, otherNodes)`, see `transport_over`."""

    def __init__(self, links: RaftLinks, raft: Library, others: set[Node]) -> None:
        super().__init__(raft, None, others)
        self._links = links
        self._raft = raft
        self._voters: set[str] = set()
        self._guests: dict[str, float] = {}
        self._learners: set[str] = set()
        self._up: set[str] = set()
        self._hints: set[str] = set()

    @property
    def ready(self) -> bool:
        return True

    def start(self) -> None:
        """Open the links; the receiver must be listening by now."""
        for node in self._raft.otherNodes:
            self.addNode(node)

    def addNode(self, node: Node) -> None:
        if node.id == self._raft.node_id:
            return
        self._voters.add(node.id)
        self._learners.discard(node.id)
        if node.id in self._guests:
            del self._guests[node.id]
        else:
            self._links.connect(node.id)
        if node.id in self._up:
            self._onNodeConnected(node)

    def dropNode(self, node: Node) -> None:
        """No voter any more; it stays as a guest for a while, so that it learns of it."""
        if node.id in self._voters:
            self._voters.discard(node.id)
            self._guests[node.id] = self._raft.clock()

    def send(self, node: Node, message: Message) -> bool:
        """Send, or hold until durable what promises something."""
        message["from_term"] = term = self._raft.raftCurrentTerm
        kind = message["type"]
        if kind in _PROMISES or (kind == "next_node_idx" and self._promises_new_entries(message)):
            self._raft.durability.hold(lambda: self._send_if_still(term, node, message))
            return True
        return self._links.send(node.id, message)

    def _promises_new_entries(self, message: Message) -> bool:
        # A follower that stands in fdatasync still answers heartbeats: those verify only what is durable.
        return bool(message["success"]) and message["next_node_idx"] - 1 > self._raft.journal.durable_index

    def _send_if_still(self, term: int, node: Node, message: Message) -> None:
        if self._raft.raftCurrentTerm == term:
            self._links.send(node.id, message)

    def destroy(self) -> None:
        for node_id in (*self._voters, *self._guests, *self._hints):
            self._links.disconnect(node_id)

    # Guests and hints.

    def hear(self, node: Node) -> None:
        """A message came from `node`: keep a link to answer on."""
        if node.id in self._voters:
            return
        if node.id not in self._guests:
            self._links.connect(node.id)
        self._guests[node.id] = self._raft.clock()

    def learner(self, node: Node) -> None:
        """`node`, a guest, wants to be replicated to."""
        if node.id in self._voters:
            return
        self.hear(node)
        self._learners.add(node.id)
        if node.id in self._up and node not in self._raft.readonlyNodes:
            self._onReadonlyNodeConnected(node)

    def hint(self, voters: set[str]) -> None:
        """Keep links to these too: nodes that may know the leader."""
        for node_id in voters - self._hints - {self._raft.node_id}:
            if node_id not in self._voters and node_id not in self._guests:
                self._links.connect(node_id)
        self._hints |= voters - {self._raft.node_id}

    def reachable(self) -> set[str]:
        """Nodes with a working link that may know the leader."""
        return self._up & (self._voters | self._hints)

    def expire_guests(self, now_s: float, silence_s: float) -> None:
        """Forget guests that are not heard any more."""
        for node_id in [n for n, heard in self._guests.items() if now_s - heard > silence_s]:
            del self._guests[node_id]
            self._forget_learner(node_id)
            if node_id not in self._hints:
                self._links.disconnect(node_id)
                self._up.discard(node_id)

    def forget_learners(self) -> None:
        """This node does not lead (any more): learners will turn to who does."""
        for node_id in list(self._learners):
            self._forget_learner(node_id)

    def _forget_learner(self, node_id: str) -> None:
        self._learners.discard(node_id)
        if Node(node_id) in self._raft.readonlyNodes:
            self._onReadonlyNodeDisconnected(Node(node_id))

    # Events of the links.

    def link_up(self, node_id: str) -> None:
        self._up.add(node_id)
        if node_id in self._voters:
            self._onNodeConnected(Node(node_id))
        elif node_id in self._learners:
            self._onReadonlyNodeConnected(Node(node_id))

    def link_down(self, node_id: str) -> None:
        self._up.discard(node_id)
        self._onNodeDisconnected(Node(node_id))


def transport_over(links: RaftLinks) -> Callable[[Any, Node, set[Node]], LinkTransport]:
    """The `transportClass` to hand to SyncObj."""

    def make(raft: Any, _self_node: Node, others: set[Node]) -> LinkTransport:
        return LinkTransport(links, raft, others)

    return make
