"""Whether network policies let a client reach an endpoint through this node's proxy. Pure.

The kernel judges what it forwards; a connection that the proxy passes on would seem to come from the node itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from consensus.model.network_policy import Direction, NetworkPolicy, Peer
from consensus.model.task import Task
from consensus.state import State
from runtime.network.routes import Backend


class Gate:
    """Remembers who has which address for as long as the tasks stand as they are."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._seen = State()
        self._by_address: dict[str, Task] = {}

    def allows(self, state: State, client: str, backend: Backend, protocol: str) -> bool:
        """Whether `client` (an IP address) may connect. What runs on this node outside of containers always may."""
        if not state.network_policies or self._is_this_node(state, client):
            return True
        if self._seen.tasks is not state.tasks:
            self._by_address = {t.status.ip_address: t for t in state.tasks.values() if t.status.ip_address is not None}
        self._seen = state
        policies = [state.network_policies[name] for name in state.network_policies]
        source, target = self._by_address.get(client), state.tasks.get(backend.task_id)
        port = backend.container_port
        if source is not None and not _passes(
            state, policies, "egress", source, (target, backend.address), protocol, port
        ):
            return False
        return target is None or _passes(state, policies, "ingress", target, (source, client), protocol, port)

    def _is_this_node(self, state: State, client: str) -> bool:
        node = state.nodes.get(self._node_id)
        return ipaddress.ip_address(client).is_loopback or (node is not None and client == node.facts.address)


def _passes(
    state: State,
    policies: Iterable[NetworkPolicy],
    direction: Direction,
    task: Task,
    other: tuple[Task | None, str],
    protocol: str,
    port: int,
) -> bool:
    """`other`: the container at the other end, if it is one, and its address."""
    labels = state.labels_of(task)
    selecting = [policy for policy in policies if policy.closes(direction) and policy.selector.selects(labels)]
    if not selecting:
        return True
    return any(
        (not rule.ports or any(range_.has(protocol, port) for range_ in rule.ports))
        and (not rule.peers or any(_is_peer(state, peer, *other) for peer in rule.peers))
        for policy in selecting
        for rule in policy.rules(direction)
    )


def _is_peer(state: State, peer: Peer, task: Task | None, address: str) -> bool:
    if peer.selector is not None:
        return task is not None and peer.selector.selects(state.labels_of(task))
    known = ipaddress.ip_address(address)
    return peer.ip_block is not None and known in ipaddress.ip_network(peer.ip_block)
