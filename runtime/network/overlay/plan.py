"""From the State to what this node's part of the overlay shall be. Pure.

Node N has a subnet; its gateway (.1) is on the bridge that N's containers are on, and its tunnel end (.0) on the VXLAN
device, as flannel does it. MACs are made from these addresses: nobody needs to be asked for a tunnel end's, and a
bridge that was taken away comes back with the one that its containers remember (they would for most of a minute).
"""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from consensus.model.network import Network, OverlayMode
from consensus.state import State

NETWORK = "hivemind"
BRIDGE = "hivemind0"
VXLAN = "hivemind-vxlan"
VXLAN_ID = 42
VXLAN_PORT = 4789
_OVERHEAD_BYTES = {4: 50, 6: 70}
"""Outer IP (20 or 40), UDP (8), VXLAN (8) and inner Ethernet (14) headers."""
MIN_MTU = 1280
_MAC_PREFIX = "0e:48"
"""Locally administered, unicast."""


class Peer(Struct, frozen=True):
    """Another node: its subnet, and where the underlay reaches it."""

    node_id: str
    subnet: str
    address: str

    @property
    def tunnel_end(self) -> str:
        return tunnel_end(self.subnet)

    @property
    def mac(self) -> str:
        return mac_of(self.tunnel_end)


class OverlayPlan(Struct, frozen=True, kw_only=True):
    """`address`: this node's own on the underlay. `misfits`: nodes that cannot be reached, and why."""

    mode: OverlayMode
    subnet: str
    address: str
    ranges: tuple[str, ...]
    peers: tuple[Peer, ...]
    misfits: tuple[str, ...] = ()

    @property
    def gateway(self) -> str:
        return gateway(self.subnet)

    @property
    def tunnel_end(self) -> str:
        return tunnel_end(self.subnet)

    @property
    def mac(self) -> str:
        return mac_of(self.tunnel_end)

    @property
    def gateway_mac(self) -> str:
        return mac_of(self.gateway)


def gateway(subnet: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[1])


def tunnel_end(subnet: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[0])


def mac_of(address: str) -> str:
    octets = ipaddress.IPv4Address(address).packed
    return ":".join([_MAC_PREFIX, *(f"{octet:02x}" for octet in octets)])


def overlay_mtu(mode: OverlayMode, address: str, underlay_mtu: int) -> int:
    """What fits into a packet of the underlay."""
    if mode is not OverlayMode.VXLAN:
        return underlay_mtu
    return max(MIN_MTU, underlay_mtu - _OVERHEAD_BYTES[ipaddress.ip_address(address).version])


def plan(state: State, node_id: str) -> OverlayPlan | None:
    """None while the node has no subnet, or takes no part."""
    own = state.nodes.get(node_id)
    if own is None or own.subnet is None or own.facts.overlay is OverlayMode.OFF:
        return None
    peers, misfits = [], []
    for node in sorted(state.nodes.values(), key=lambda node: node.id):
        if node.id == node_id or node.subnet is None or node.facts.overlay is OverlayMode.OFF:
            continue
        if node.facts.overlay is own.facts.overlay:
            peers.append(Peer(node.id, node.subnet, node.facts.address))
        else:
            misfits.append(f"{node.id} uses {node.facts.overlay}, this node {own.facts.overlay}")
    cluster = state.cluster
    return OverlayPlan(
        mode=own.facts.overlay,
        subnet=own.subnet,
        address=own.facts.address,
        ranges=Network().ranges if cluster is None else cluster.network.ranges,
        peers=tuple(peers),
        misfits=tuple(misfits),
    )
