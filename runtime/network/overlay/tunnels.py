"""The link that packets to other nodes leave by, and who is at its other ends. Pure.

VXLAN and WireGuard look alike from outside: a link with this node's tunnel end as its address, and a route to each
peer's subnet. What is wrong with a tunnel at its birth cannot be changed later: it is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.network.overlay.changes import (
    AddAddress,
    AddForwarding,
    AddVxlan,
    AddWireguard,
    AnyChange,
    ConfigureWireguard,
    DeleteForwarding,
    DeleteLink,
    DeleteNeighbour,
    SetLink,
    SetNeighbour,
)
from runtime.network.overlay.found import Found, Link, Route, VxlanFacts, WireguardFacts, WireguardPeer
from runtime.network.overlay.plan import VXLAN, VXLAN_ID, VXLAN_PORT, WIREGUARD, WIREGUARD_PORT, OverlayPlan

TUNNELS = (VXLAN, WIREGUARD)


def stale(plan: OverlayPlan, found: Found) -> Iterator[AnyChange]:
    """Takes tunnels away that the plan does not use."""
    for name in TUNNELS:
        if name in found.links and name != plan.tunnel:
            yield DeleteLink(name)


def changes(plan: OverlayPlan, found: Found, underlay: Link, mtu: int) -> Iterator[AnyChange]:
    """What to do to the plan's tunnel; nothing where it has none."""
    name = plan.tunnel
    if name is None:
        return
    if standing(plan, found, underlay) is None:
        if name in found.links:
            yield DeleteLink(name)
        if name == VXLAN:
            yield AddVxlan(VXLAN, mtu, plan.mac, VXLAN_ID, VXLAN_PORT, plan.address, underlay.name)
        else:
            yield AddWireguard(WIREGUARD)
        return
    if name == WIREGUARD and found.wireguard != (wanted := _wireguard(plan)):
        yield ConfigureWireguard(WIREGUARD, WIREGUARD_PORT, tuple(sorted(wanted.peers)))
    yield from configured(found, name, mtu, f"{plan.tunnel_end}/32")
    if name == VXLAN:
        yield from _entries(plan, found)


def standing(plan: OverlayPlan, found: Found, underlay: Link) -> Link | None:
    """The plan's tunnel, where it can be used as it is there."""
    if plan.tunnel is None:
        return None
    link = found.links.get(plan.tunnel)
    if link is None or not link.addresses <= {f"{plan.tunnel_end}/32"}:
        return None
    if plan.tunnel == WIREGUARD:
        return None if found.wireguard is None else link
    wanted = VxlanFacts(VXLAN_ID, VXLAN_PORT, plan.address, underlay.name, False)
    return link if (link.vxlan, link.mac) == (wanted, plan.mac) else None


def routes(plan: OverlayPlan, link: Link) -> set[Route]:
    """What goes through the tunnel `link`."""
    if plan.tunnel == WIREGUARD:
        return {Route(subnet, "", link.name, False) for peer in plan.peers for subnet in peer.subnets}
    second = {Route(peer.subnet6, peer.hop6, link.name, False) for peer in plan.peers if peer.subnet6}
    return {Route(peer.subnet, peer.tunnel_end, link.name, True) for peer in plan.peers} | second


def barriers(plan: OverlayPlan) -> set[Route]:
    """Routes to nowhere: what an encrypted overlay has no tunnel for must not leave by the machine's other routes."""
    ranges = (*plan.ranges, *plan.ranges6) if plan.tunnel == WIREGUARD else ()
    return {Route(each, "", "", False) for each in ranges}


def configured(found: Found, name: str, mtu: int, *addresses: str) -> Iterator[AnyChange]:
    """A link that is up, with this MTU and these addresses."""
    link = found.links.get(name)
    for address in addresses:
        if link is None or address not in link.addresses:
            yield AddAddress(name, address)
    if link is None or not link.up or link.mtu != mtu:
        yield SetLink(name, mtu)


def _wireguard(plan: OverlayPlan) -> WireguardFacts:
    peers = frozenset(
        WireguardPeer(peer.key, f"{_bracketed(peer.address)}:{WIREGUARD_PORT}", tuple(sorted(peer.subnets)))
        for peer in plan.peers
    )
    return WireguardFacts(plan.key, WIREGUARD_PORT, peers)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _entries(plan: OverlayPlan, found: Found) -> Iterator[AnyChange]:
    neighbours = {(peer.tunnel_end, peer.mac) for peer in plan.peers}
    neighbours |= {(peer.hop6, peer.mac) for peer in plan.peers if peer.subnet6}
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
