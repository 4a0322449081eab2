"""What the kernel has, what it shall have, and the changes from the one to the other. Pure.

Changes name links, not indexes: what one change makes the next may use. Some can only be seen to be due after others
were made (a new link has no index yet), so the driver looks and changes until nothing is left to do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from msgspec import Struct

from consensus.model.network import OverlayMode
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.plan import BRIDGE, VXLAN, VXLAN_ID, VXLAN_PORT, OverlayPlan, Peer, overlay_mtu

ROUTE_PROTOCOL = 72
"""Marks the routes that are ours; no routing daemon has this number (iproute2, rt_protos)."""


class VxlanFacts(Struct, frozen=True):
    id: int
    port: int
    local: str
    underlay: str | None
    learning: bool


class Link(Struct, frozen=True, kw_only=True):
    """`addresses` with prefix length; `master` is the name of the bridge that it is a port of."""

    name: str
    mtu: int
    up: bool
    mac: str = ""
    master: str | None = None
    vxlan: VxlanFacts | None = None
    addresses: frozenset[str] = frozenset()


class Route(Struct, frozen=True, order=True):
    """`onlink`: the gateway is taken to be on the link, whatever the link's own addresses say."""

    subnet: str
    via: str
    link: str
    onlink: bool


class Found(Struct, frozen=True, kw_only=True):
    """`routes` are those of ours; `neighbours` (address, MAC) and `forwarding` (MAC, address) the VXLAN device's."""

    links: Mapping[str, Link]
    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[tuple[str, str]] = frozenset()
    forwarding: frozenset[tuple[str, str]] = frozenset()


class Change(Struct, frozen=True, tag=True):
    """Base of what can be done."""


class AddBridge(Change, frozen=True):
    name: str
    mtu: int
    mac: str


class AddVxlan(Change, frozen=True):
    name: str
    mtu: int
    mac: str
    id: int
    port: int
    local: str
    underlay: str


class DeleteLink(Change, frozen=True):
    name: str


class SetLink(Change, frozen=True):
    """Up, with this MTU."""

    name: str
    mtu: int


class SetMac(Change, frozen=True):
    link: str
    mac: str


class AddAddress(Change, frozen=True):
    link: str
    address: str


class AddRoute(Change, frozen=True):
    """Replaces another one of ours to the same subnet."""

    route: Route


class DeleteRoute(Change, frozen=True):
    route: Route


class SetNeighbour(Change, frozen=True):
    link: str
    address: str
    mac: str


class DeleteNeighbour(Change, frozen=True):
    link: str
    address: str


class AddForwarding(Change, frozen=True):
    link: str
    mac: str
    address: str


class DeleteForwarding(Change, frozen=True):
    link: str
    mac: str
    address: str


AnyChange = (
    AddBridge
    | AddVxlan
    | DeleteLink
    | SetLink
    | SetMac
    | AddAddress
    | AddRoute
    | DeleteRoute
    | SetNeighbour
    | DeleteNeighbour
    | AddForwarding
    | DeleteForwarding
)


def underlay_of(links: Mapping[str, Link], address: str) -> Link:
    """The link that has `address`. Raises OverlayError."""
    for link in links.values():
        if any(each.partition("/")[0] == address for each in link.addresses):
            return link
    raise OverlayError(f"no interface of this machine has the advertised address {address}")


def mtu_of(plan: OverlayPlan, links: Mapping[str, Link]) -> int:
    """Raises OverlayError."""
    return overlay_mtu(plan.mode, plan.address, underlay_of(links, plan.address).mtu)


def changes(plan: OverlayPlan, found: Found) -> list[AnyChange]:
    """What to do now; empty when all is as it shall be. Raises OverlayError."""
    return [*_links(plan, found), *_entries(plan, found), *_routes(plan, found)]


def far(plan: OverlayPlan, found: Found) -> tuple[Peer, ...]:
    """Nodes that direct routes cannot reach: there is a router in between, or NAT. Raises OverlayError."""
    if plan.mode is not OverlayMode.HOST_GW:
        return ()
    near = [ipaddress.ip_interface(each).network for each in underlay_of(found.links, plan.address).addresses]
    return tuple(
        peer for peer in plan.peers if not any(ipaddress.ip_address(peer.address) in network for network in near)
    )


def removal(found: Found) -> list[AnyChange]:
    """Takes everything away that this module makes. The bridge is the engine's, and goes with its network."""
    gone: list[AnyChange] = [DeleteRoute(route) for route in sorted(found.routes)]
    if VXLAN in found.links:
        gone.append(DeleteLink(VXLAN))
    return gone


def _links(plan: OverlayPlan, found: Found) -> Iterator[AnyChange]:
    underlay = underlay_of(found.links, plan.address)
    mtu = overlay_mtu(plan.mode, plan.address, underlay.mtu)
    if BRIDGE not in found.links:
        yield AddBridge(BRIDGE, mtu, plan.gateway_mac)
    elif found.links[BRIDGE].mac != plan.gateway_mac:
        yield SetMac(BRIDGE, plan.gateway_mac)
    yield from _configured(found, BRIDGE, mtu, f"{plan.gateway}/{ipaddress.IPv4Network(plan.subnet).prefixlen}")
    vxlan = found.links.get(VXLAN)
    if plan.mode is not OverlayMode.VXLAN:
        if vxlan is not None:
            yield DeleteLink(VXLAN)
        return
    if _tunnel(plan, found) is not None:
        yield from _configured(found, VXLAN, mtu, f"{plan.tunnel_end}/32")
        return
    if vxlan is not None:
        yield DeleteLink(VXLAN)
    yield AddVxlan(VXLAN, mtu, plan.mac, VXLAN_ID, VXLAN_PORT, plan.address, underlay.name)


def _tunnel(plan: OverlayPlan, found: Found) -> Link | None:
    """The VXLAN device, where it is as it was made: what is wrong at its birth cannot be changed later."""
    link = found.links.get(VXLAN)
    wanted = VxlanFacts(VXLAN_ID, VXLAN_PORT, plan.address, underlay_of(found.links, plan.address).name, False)
    if link is None or (link.vxlan, link.mac) != (wanted, plan.mac):
        return None
    return link if link.addresses <= {f"{plan.tunnel_end}/32"} else None


def _configured(found: Found, name: str, mtu: int, address: str) -> Iterator[AnyChange]:
    link = found.links.get(name)
    if link is None or address not in link.addresses:
        yield AddAddress(name, address)
    if link is None or not link.up or link.mtu != mtu:
        yield SetLink(name, mtu)


def _entries(plan: OverlayPlan, found: Found) -> Iterator[AnyChange]:
    if plan.mode is not OverlayMode.VXLAN or _tunnel(plan, found) is None:
        return
    neighbours = {(peer.tunnel_end, peer.mac) for peer in plan.peers}
    forwarding = {(peer.mac, peer.address) for peer in plan.peers}
    kept = {address for address, _ in neighbours}
    for address, _ in sorted(found.neighbours):
        if address not in kept:
            yield DeleteNeighbour(VXLAN, address)
    for mac, address in sorted(found.forwarding - forwarding):
        yield DeleteForwarding(VXLAN, mac, address)
    for address, mac in sorted(neighbours - found.neighbours):
        yield SetNeighbour(VXLAN, address, mac)
    for mac, address in sorted(forwarding - found.forwarding):
        yield AddForwarding(VXLAN, mac, address)


def _routes(plan: OverlayPlan, found: Found) -> Iterator[AnyChange]:
    if plan.mode is OverlayMode.VXLAN:
        link = _tunnel(plan, found)
        if link is None or not link.up:
            return
        wanted = {Route(peer.subnet, peer.tunnel_end, VXLAN, True) for peer in plan.peers}
    else:
        underlay = underlay_of(found.links, plan.address).name
        beyond = far(plan, found)
        wanted = {Route(peer.subnet, peer.address, underlay, False) for peer in plan.peers if peer not in beyond}
    subnets = {route.subnet for route in wanted}
    for route in sorted(found.routes - wanted):
        if route.subnet not in subnets:
            yield DeleteRoute(route)
    for route in sorted(wanted - found.routes):
        yield AddRoute(route)
