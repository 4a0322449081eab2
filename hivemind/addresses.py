"""Where each node's peer channel is.

Gossip knows best; a node that gossip does not know (yet) is found in the replicated state, or, before that is there,
in what the joiner was told or this node last knew (known_peers.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from consensus.machine import Machine
from membership import Address, Member


class AddressBook:
    """Resolves node ids for the peer channel."""

    def __init__(self, machine: Machine, told: Iterable[tuple[str, str, int]] = ()) -> None:
        self._machine = machine
        self._told: dict[str, Address] = {node_id: (host, port) for node_id, host, port in told}
        self._members: Mapping[str, Member] = {}

    def use_members(self, members: Mapping[str, Member]) -> None:
        """`members` is membership's live view."""
        self._members = members

    def resolve(self, node_id: str) -> Address | None:
        member = self._members.get(node_id)
        if member is not None and member.is_live:
            return member.endpoint
        node = self._machine.state.nodes.get(node_id)
        if node is not None:
            return node.facts.address, node.facts.peer_port
        return member.endpoint if member is not None else self._told.get(node_id)

    def others(self, node_id: str) -> dict[str, Address]:
        """Every other node that is known from the state or was told, to gossip with at the start."""
        known = dict(self._told)
        for node in self._machine.state.nodes.values():
            known[node.id] = (node.facts.address, node.facts.peer_port)
        known.pop(node_id, None)
        return known
