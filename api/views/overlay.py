"""The overlay as a whole: its ranges, and each node's part."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from api.views.fields import same_fields
from api.views.node import CapabilityView, Members, node_network
from consensus.model.network import SUBNET_BITS, Network
from consensus.state import State


class OverlayNode(Struct, frozen=True):
    """`mode` is vxlan, host-gw or off; the others as in a node's `network`."""

    node_id: str
    mode: str
    subnet: str | None
    subnet6: str | None
    overlay_status: str
    overlay_message: str
    capabilities: list[CapabilityView]


class OverlayView(Struct, frozen=True, kw_only=True):
    """`subnets_total`: how many nodes the ranges of IPv4 are enough for. `encryption` is wireguard or off."""

    ranges: list[str]
    encryption: str
    subnets_total: int
    subnets_used: int
    nodes: list[OverlayNode]


def overlay_view(state: State, members: Members) -> OverlayView:
    network = Network() if state.cluster is None else state.cluster.network
    ranges = network.ranges
    nodes = []
    for node_id in sorted(state.nodes):
        node = state.nodes[node_id]
        part = node_network(node, members.get(node_id))
        nodes.append(OverlayNode(node_id=node_id, mode=node.facts.overlay.value, **same_fields(type(part), part)))
    return OverlayView(
        ranges=[*ranges, *network.ranges6],
        encryption=network.encryption.value,
        subnets_total=sum(2 ** (SUBNET_BITS - ipaddress.IPv4Network(each).prefixlen) for each in ranges),
        subnets_used=sum(node.subnet is not None for node in state.nodes.values()),
        nodes=nodes,
    )
