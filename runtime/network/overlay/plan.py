"""From the State to what this node's part of the overlay shall be. Pure.

Node N has a subnet; its gateway (.1) is on the bridge that N's containers are on, and its tunnel end (.0) on the
tunnel's device, as flannel does it. An encrypted overlay is a tunnel of WireGuard, whatever its nodes' modes.

MACs are made from these addresses: nobody needs to be asked for a tunnel end's, and a bridge that was taken away
comes back with the one that its containers remember (they would for most of a minute).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from consensus.model.network import Encryption, Network, OverlayMode, OverlaySettings
from consensus.model.node import Node
from consensus.model.setting import section_of
from consensus.state import State

NETWORK = "hivemind"
BRIDGE = "hivemind0"
VXLAN = "hivemind-vxlan"
VXLAN_ID = 42
VXLAN_PORT = 4789
WIREGUARD = "hivemind-wg"
WIREGUARD_PORT = 51842
"""Not 51820, which a machine's own tunnels have by default."""
TUNNEL_PORTS = {VXLAN: VXLAN_PORT, WIREGUARD: WIREGUARD_PORT}
_OUTER_BYTES = {4: 28, 6: 48}
"""Outer IP (20 or 40) and UDP (8) headers."""
_OVERHEAD_BYTES = {VXLAN: 22, WIREGUARD: 32}
"""VXLAN (8) and inner Ethernet (14) headers (RFC 7348 §5); type, receiver, counter and tag (WireGuard §5.4.6)."""
MIN_MTU = 1280
_LINK_LOCAL = ipaddress.IPv6Address("fe80::")
_MAC_PREFIX = "0e:48"
"""Locally administered, unicast."""
_SUBNETS = 8192
"""As many are remembered with their addresses, which are asked for at each commit, of every node."""


class Peer(Struct, frozen=True):
    """Another node: its subnets, where the underlay reaches it, and its public key of WireGuard."""

    node_id: str
    subnet: str
    address: str
    key: str = ""
    subnet6: str = ""

    @property
    def subnets(self) -> tuple[str, ...]:
        return (self.subnet, self.subnet6) if self.subnet6 else (self.subnet,)

    @property
    def hop6(self) -> str:
        """Stands for its tunnel end where IPv6 asks for a next hop; no link has this address."""
        return str(ipaddress.IPv6Address(int(_LINK_LOCAL) + int(ipaddress.IPv4Address(self.tunnel_end))))

    @property
    def gateway(self) -> str:
        return gateway(self.subnet)

    @property
    def tunnel_end(self) -> str:
        return tunnel_end(self.subnet)

    @property
    def mac(self) -> str:
        return mac_of(self.tunnel_end)


class OverlayPlan(Struct, frozen=True, kw_only=True):
    """`address` and `key`: this node's own on the underlay. `misfits`: nodes that cannot be reached, and why.

    `direct`: the ids of nodes that are sent to without the tunnel (see `direct`); None: none may be.
    """

    mode: OverlayMode
    subnet: str
    address: str
    ranges: tuple[str, ...]
    peers: tuple[Peer, ...]
    misfits: tuple[str, ...] = ()
    encryption: Encryption = Encryption.OFF
    key: str = ""
    ranges6: tuple[str, ...] = ()
    subnet6: str = ""
    direct: frozenset[str] | None = None

    @property
    def gateway6(self) -> str:
        """Empty without IPv6."""
        return gateway6(self.subnet6) if self.subnet6 else ""

    @property
    def bridge_addresses(self) -> tuple[str, ...]:
        """With the lengths of their prefixes."""
        pairs = ((self.subnet, self.gateway), (self.subnet6, self.gateway6))
        return tuple(f"{address}/{subnet.partition('/')[2]}" for subnet, address in pairs if subnet)

    @property
    def tunnel(self) -> str | None:
        """The link that packets to other nodes leave by; None: the underlay's own."""
        if self.encryption is Encryption.WIREGUARD:
            return WIREGUARD
        return VXLAN if self.mode is OverlayMode.VXLAN else None

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


@lru_cache(_SUBNETS)
def gateway(subnet: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[1])


@lru_cache(_SUBNETS)
def gateway6(subnet: str) -> str:
    return str(ipaddress.IPv6Network(subnet)[1])


@lru_cache(_SUBNETS)
def tunnel_end(subnet: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[0])


def mac_of(address: str) -> str:
    octets = ipaddress.IPv4Address(address).packed
    return ":".join([_MAC_PREFIX, *(f"{octet:02x}" for octet in octets)])


def overlay_mtu(tunnel: str | None, address: str, underlay_mtu: int) -> int:
    """What fits into a packet of the underlay."""
    if tunnel is None:
        return underlay_mtu
    outer_bytes = _OUTER_BYTES[ipaddress.ip_address(address).version]
    return max(MIN_MTU, underlay_mtu - outer_bytes - _OVERHEAD_BYTES[tunnel])


def plan(state: State, node_id: str) -> OverlayPlan | None:
    """None while the node has no subnet, or takes no part."""
    own = state.nodes.get(node_id)
    if own is None or own.subnet is None or own.facts.overlay is OverlayMode.OFF:
        return None
    cluster = state.cluster
    network = Network() if cluster is None else cluster.network
    peers, misfits = [], []
    for node in sorted(state.nodes.values(), key=lambda node: node.id):
        if node.id == node_id or node.subnet is None or node.facts.overlay is OverlayMode.OFF:
            continue
        misfit = _misfit(own, node, network.encryption)
        if misfit is None:
            both = network.ranges6 and own.subnet6 and node.subnet6
            subnet6 = node.subnet6 or "" if both else ""
            peers.append(Peer(node.id, node.subnet, node.facts.address, node.facts.overlay_key, subnet6))
        else:
            misfits.append(misfit)
    made = OverlayPlan(
        mode=own.facts.overlay,
        subnet=own.subnet,
        address=own.facts.address,
        ranges=network.ranges,
        peers=tuple(peers),
        misfits=tuple(misfits),
        encryption=network.encryption,
        key=own.facts.overlay_key,
        ranges6=network.ranges6,
        subnet6=own.subnet6 or "",
    )
    may_be_direct = made.tunnel == VXLAN and section_of(state.settings, OverlaySettings).direct
    return replace(made, direct=frozenset()) if may_be_direct else made


def without_ipv6(plan: OverlayPlan) -> OverlayPlan:
    """The same, on a machine that has none."""
    return replace(plan, ranges6=(), subnet6="", peers=tuple(replace(peer, subnet6="") for peer in plan.peers))


def _misfit(own: Node, other: Node, encryption: Encryption) -> str | None:
    """Why packets between the two cannot travel."""
    if encryption is Encryption.OFF:
        if other.facts.overlay is own.facts.overlay:
            return None
        return f"{other.id} uses {other.facts.overlay}, this node {own.facts.overlay}"
    return None if other.facts.overlay_key else f"{other.id} has no key: nothing is sent to it unencrypted"
