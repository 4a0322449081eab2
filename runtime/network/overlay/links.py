"""What the kernel shall have, and the changes that lead there from what it has. Pure.

Some can only be seen to be due after others were made (a new link has no index yet), so the driver looks and changes
until nothing is left to do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from consensus.model.network import OverlayMode
from runtime.network.overlay import tunnels
from runtime.network.overlay.changes import AddBridge, AddRoute, AnyChange, DeleteLink, DeleteRoute, SetMac
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import Found, Link, Route
from runtime.network.overlay.plan import BRIDGE, OverlayPlan, Peer, overlay_mtu


def underlay_of(links: Mapping[str, Link], address: str) -> Link:
    """The link that has `address`. Raises OverlayError."""
    for link in links.values():
        if any(each.partition("/")[0] == address for each in link.addresses):
            return link
    raise OverlayError(f"no interface of this machine has the advertised address {address}")


def mtu_of(plan: OverlayPlan, links: Mapping[str, Link]) -> int:
    """Raises OverlayError."""
    return overlay_mtu(plan.tunnel, plan.address, underlay_of(links, plan.address).mtu)


def changes(plan: OverlayPlan, found: Found) -> list[AnyChange]:
    """What to do now; empty when all is as it shall be. Raises OverlayError.

    Routes and tunnels that shall not be used any more go first: what comes after may fail.
    """
    underlay, mtu = underlay_of(found.links, plan.address), mtu_of(plan, found.links)
    return [
        *_routes(plan, found, underlay),
        *tunnels.stale(plan, found),
        *_bridge(plan, found, mtu),
        *tunnels.changes(plan, found, underlay, mtu),
    ]


def near(plan: OverlayPlan, found: Found) -> tuple[Peer, ...]:
    """Nodes that are on a network of this node's, without a router or NAT in between. Raises OverlayError."""
    own = [ipaddress.ip_interface(each).network for each in underlay_of(found.links, plan.address).addresses]
    return tuple(peer for peer in plan.peers if _is_of(own, peer.address))


def _is_of(networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network], address: str) -> bool:
    """Never for a name, which a node may have instead."""
    try:
        return any(ipaddress.ip_address(address) in network for network in networks)
    except ValueError:
        return False


def far(plan: OverlayPlan, found: Found) -> tuple[Peer, ...]:
    """Nodes that host-gw cannot reach. Raises OverlayError."""
    if plan.tunnel is not None or plan.mode is not OverlayMode.HOST_GW:
        return ()
    reached = near(plan, found)
    return tuple(peer for peer in plan.peers if peer not in reached)


def directly(plan: OverlayPlan, found: Found) -> frozenset[str]:
    """The ids of nodes to which a direct route leads as things are. Raises OverlayError."""
    underlay = underlay_of(found.links, plan.address)
    return frozenset(peer.node_id for peer in plan.peers if _direct(peer, peer.subnet, underlay) in found.routes)


def removal(found: Found) -> list[AnyChange]:
    """Takes everything away that this module makes. The bridge is the engine's, and goes with its network."""
    gone: list[AnyChange] = [DeleteRoute(route) for route in sorted(found.routes)]
    return [*gone, *(DeleteLink(name) for name in tunnels.TUNNELS if name in found.links)]


def _bridge(plan: OverlayPlan, found: Found, mtu: int) -> Iterator[AnyChange]:
    if BRIDGE not in found.links:
        yield AddBridge(BRIDGE, mtu, plan.gateway_mac)
    elif found.links[BRIDGE].mac != plan.gateway_mac:
        yield SetMac(BRIDGE, plan.gateway_mac)
    yield from tunnels.configured(found, BRIDGE, mtu, *plan.bridge_addresses)


def _routes(plan: OverlayPlan, found: Found, underlay: Link) -> Iterator[AnyChange]:
    wanted = tunnels.barriers(plan)
    if plan.tunnel is not None:
        link = tunnels.standing(plan, found, underlay)
        shortcuts = set(_shortcuts(plan, found, underlay))
        taken = {route.key for route in shortcuts}
        if link is not None and link.up:
            wanted |= {route for route in tunnels.routes(plan, link) if route.key not in taken}
        wanted |= shortcuts
    else:
        wanted |= {_direct(peer, peer.subnet, underlay) for peer in near(plan, found)}
    kept = {route.key for route in wanted}
    for route in sorted(found.routes - wanted):
        if route.key not in kept:
            yield DeleteRoute(route)
    for route in sorted(wanted - found.routes):
        yield AddRoute(route)


def _shortcuts(plan: OverlayPlan, found: Found, underlay: Link) -> Iterator[Route]:
    """Past the tunnel: to each near node's tunnel end, which is asked whether packets pass, and where they do to all of
    its containers."""
    if plan.direct is None:
        return
    for peer in near(plan, found):
        yield _direct(peer, f"{peer.tunnel_end}/32", underlay)
        if peer.node_id in plan.direct:
            yield _direct(peer, peer.subnet, underlay)


def _direct(peer: Peer, subnet: str, underlay: Link) -> Route:
    return Route(subnet, peer.address, underlay.name, False)
