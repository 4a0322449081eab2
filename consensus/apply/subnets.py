"""Node subnets: each node that takes part in the overlay has one, until it is removed.

Where the ranges are exhausted the node works without one, and an alert stands until it has got it.
"""

from __future__ import annotations

import ipaddress

from msgspec.structs import replace

from consensus.apply import alert
from consensus.commands import ExtendOverlay, RaiseAlert, ReportOverlay, ResolveAlert
from consensus.draft import Draft
from consensus.model.alert import Alert, Severity
from consensus.model.network import Network, OverlayMode, range_problem, subnets
from consensus.model.node import Node
from consensus.outcomes import AnyOutcome, Done, conflict, invalid, not_found

EXHAUSTED, EXHAUSTED6 = "overlay-exhausted", "overlay-exhausted-ipv6"


def extend(draft: Draft, command: ExtendOverlay) -> AnyOutcome:
    cluster = draft.state.cluster
    if cluster is None:
        return conflict("the cluster is not founded yet")
    if (":" in command.range) is not command.ipv6:
        return invalid(f"range: expected an IPv{6 if command.ipv6 else 4} range, got {command.range}")
    field = "ranges6" if command.ipv6 else "ranges"
    ranges = getattr(cluster.network, field)
    if (problem := range_problem(command.range, ranges)) is not None:
        return invalid(f"range: {problem}")
    grown = (*ranges, str(ipaddress.ip_network(command.range)))
    draft.put_cluster(replace(cluster, network=replace(cluster.network, **{field: grown})))
    settle(draft)
    return Done()


def report(draft: Draft, command: ReportOverlay) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    if command.boot_id != node.boot_id:
        return conflict(f"node {node.id!r} was started again meanwhile")
    draft.put_node(replace(node, overlay=command.report))
    return Done()


def settle(draft: Draft) -> None:
    """Gives a subnet to every node that lacks one, as far as they go; raises or resolves the alerts."""
    network = Network() if draft.state.cluster is None else draft.state.cluster.network
    for field, ranges, alert_id, words in (
        ("subnet", network.ranges, EXHAUSTED, "got no subnet, and its containers are reached through published ports"),
        ("subnet6", network.ranges6, EXHAUSTED6, "got no IPv6 subnet, and its containers have IPv4"),
    ):
        lacking = _hand_out(draft, field, ranges) if ranges else []
        _tell(draft, alert_id, lacking, words)


def _hand_out(draft: Draft, field: str, ranges: tuple[str, ...]) -> list[str]:
    """Which nodes got none."""
    lacking = sorted(node.id for node in draft.state.nodes.values() if _lacks(node, field))
    if lacking:
        taken = {getattr(node, field) for node in draft.state.nodes.values()}
        free = (subnet for subnet in subnets(ranges) if subnet not in taken)
        for node_id, subnet in zip(list(lacking), free, strict=False):
            draft.put_node(replace(draft.state.nodes[node_id], **{field: subnet}))
            lacking.remove(node_id)
    return lacking


def _lacks(node: Node, field: str) -> bool:
    return getattr(node, field) is None and node.facts.overlay is not OverlayMode.OFF


def _tell(draft: Draft, alert_id: str, lacking: list[str], words: str) -> None:
    standing = alert_id in draft.state.alerts
    if lacking and not standing:
        message = (
            f"the overlay's ranges are exhausted: {lacking[0]} {words} only; add a range with: hivemind overlay extend"
        )
        raised = Alert(
            id=alert_id,
            severity=Severity.WARNING,
            resource=f"node/{lacking[0]}",
            message=message,
            created_at_s=draft.time_s,
        )
        alert.raise_alert(draft, RaiseAlert(raised))
    elif standing and not lacking:
        alert.resolve(draft, ResolveAlert(alert_id))
