"""Balancing: a connection's target becomes one of a front's endpoints. Pure.

One chain a front, found by a verdict map: its cost does not grow with the number of services, and another endpoint
changes one chain. The turns of a weighted round are laid out beforehand, evenly (smooth weighted round-robin).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from msgspec import Struct

from consensus.model.service import RANGE, Strategy
from runtime.network.balancer import SmoothTurns
from runtime.network.nft import match
from runtime.network.nft.ruleset import Chain, Expression, Hook, NamedSet
from runtime.network.routes import Backend, Front, Route, ServiceAddress

ADDRESSES, PORTS, OWN_PAIRS = "service_addresses", "published_ports", "own_pairs"
MAX_TURNS = 256
"""Of one front's round; greater weights are rounded."""
_BEFORE_DOCKER = -110
"""Docker's own rules are at -100 (dstnat)."""
_BEFORE_MASQUERADE = 90
_LOOPBACK = "127.0.0.0/8"


class Here(Struct, frozen=True, kw_only=True):
    """This node in the overlay. `nodes`: the addresses that nodes themselves have in it."""

    node_id: str
    subnet: str
    gateway: str
    ranges: tuple[str, ...]
    nodes: frozenset[str]


def is_kernels(route: Route, here: Here) -> bool:
    """Whether the kernel can do what the route's policy says, and reaches all of its endpoints.

    It knows no connection counts, sends no header ahead, and forgets a client when endpoints change. It cannot leave
    out an endpoint that fails: replicas are probed by their nodes, but nobody probes addresses that were given.
    """
    policy = route.policy
    if policy.checked and any(not backend.node_id for backend in route.backends):
        return False
    if policy.strategy == Strategy.LEAST_CONNECTIONS or policy.proxy_protocol or policy.sticky_s:
        return False
    return all(not backend.node_id or _is_in(backend.address, here.ranges) for backend in route.backends)


def _is_in(address: str, ranges: Sequence[str]) -> bool:
    return any(ipaddress.IPv4Address(address) in ipaddress.IPv4Network(each) for each in ranges)


def chain_name(front: Front) -> str:
    if isinstance(front, ServiceAddress):
        return f"service_{front.virtual_ip.replace('.', '_')}_{front.protocol}_{front.port}"
    return f"published_{front.protocol}_{front.host_port}"


def front_chain(front: Front, route: Route, here: Here) -> Chain | None:
    """Where its connections go; None: nothing serves it now."""
    targets = turns(route, here)
    if not targets:
        return None
    if route.policy.strategy == Strategy.IP_HASH:
        pick: Expression = {"jhash": {"mod": len(targets), "seed": 1, "expr": match.SOURCE}}
    else:
        mode = "random" if route.policy.strategy == Strategy.RANDOM else "inc"
        pick = {"numgen": {"mode": mode, "mod": len(targets), "offset": 0}}
    data = {"set": [[i, {"concat": [backend.address, backend.port]}] for i, backend in enumerate(targets)]}
    only = match.equal(match.PROTOCOL, front.protocol)
    return Chain(((only, _translate({"map": {"key": pick, "data": data}})),))


def proxy_chain(front: Front, here: Here, port: int) -> Chain:
    """To the user-space proxy of this node, for what the kernel cannot do."""
    only = match.equal(match.PROTOCOL, front.protocol)
    return Chain(((only, {"dnat": {"family": "ip", "addr": here.gateway, "port": port}}),))


def _translate(address: Expression) -> Expression:
    return {"dnat": {"family": "ip", "addr": address}}


def turns(route: Route, here: Here) -> list[Backend]:
    """One round: each endpoint as often as its weight says."""
    pairs = [(b, w) for b, w in zip(route.backends, route.weights, strict=True) if w > 0]
    if route.policy.prefer_local and any(backend.node_id == here.node_id for backend, _ in pairs):
        pairs = [(backend, weight) for backend, weight in pairs if backend.node_id == here.node_id]
    total = sum(weight for _, weight in pairs)
    if total > MAX_TURNS:
        pairs = [(backend, max(1, round(weight * MAX_TURNS / total))) for backend, weight in pairs]
    round_, keys, weights = SmoothTurns(), [b.task_id for b, _ in pairs], [w for _, w in pairs]
    return [pairs[round_.next(keys, weights)][0] for _ in range(sum(weights))]


def own_pairs(addresses: Sequence[str]) -> NamedSet:
    """For containers that reach themselves by a virtual address: source and target are one."""
    return NamedSet(type=("ipv4_addr", "ipv4_addr"), elements={(each, each): None for each in addresses})


def base_chains(here: Here) -> dict[str, Chain]:
    """The way in, from others and from this node itself, and the way out.

    All of them are of nat, which only a connection's first packet passes: three chains of filter, one rule each, cost
    every packet between nodes, and with it an eighth of the throughput. So a virtual address that nobody serves is
    refused on the way in, which takes Linux 5.9.

    The client's address is kept wherever the answer comes back through here anyway: the endpoint is on this node, or
    the client is a container. Else this node stands for the client.
    """
    front = match.concatenation(match.TARGET, match.PROTOCOL, match.PORT)
    port = match.concatenation(match.PROTOCOL, match.PORT)
    virtual = (match.goto_by(front, ADDRESSES),)
    published = (
        match.TARGET_IS_THIS_NODE,
        match.unequal(match.TARGET, match.network(_LOOPBACK)),
        match.goto_by(port, PORTS),
    )
    itself = (
        match.TRANSLATED,
        match.equal(match.concatenation(match.SOURCE, match.TARGET), f"@{OWN_PAIRS}"),
        match.MASQUERADE,
    )
    elsewhere = (
        match.TRANSLATED,
        *(match.unequal(match.SOURCE, match.network(each)) for each in here.ranges),
        match.unequal(match.TARGET, match.network(here.subnet)),
        match.MASQUERADE,
    )
    refuse: Expression = {"reject": {"type": "icmp", "expr": "port-unreachable"}}
    nobody = (match.equal(match.TARGET, match.network(str(RANGE))), refuse)
    begun = (virtual, published, nobody)
    return {
        "prerouting": Chain(begun, Hook("nat", "prerouting", _BEFORE_DOCKER)),
        "output": Chain(begun, Hook("nat", "output", _BEFORE_DOCKER)),
        "postrouting": Chain((itself, elsewhere), Hook("nat", "postrouting", _BEFORE_MASQUERADE)),
    }


def front_key(front: Front) -> tuple[str | int, ...]:
    """In the map `ADDRESSES` or `PORTS`."""
    if isinstance(front, ServiceAddress):
        return front.virtual_ip, front.protocol, front.port
    return front.protocol, front.host_port
