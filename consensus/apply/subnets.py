"""Node subnets: each node that takes part in the overlay has one, until it is removed.

Where the ranges are exhausted the node works without one, and an alert stands until it has got it.
"""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import alert
from consensus.commands import ExtendOverlay, RaiseAlert, ReportOverlay, ResolveAlert
from consensus.draft import Draft
from consensus.model.alert import Alert, Severity
from consensus.model.network import Network, OverlayMode, range_problem, subnets
from consensus.model.node import Node
from consensus.outcomes import AnyOutcome, Done, conflict, invalid, not_found

EXHAUSTED = "overlay-exhausted"


def extend(draft: Draft, command: ExtendOverlay) -> AnyOutcome:
    cluster = draft.state.cluster
    if cluster is None:
        return conflict("the cluster is not founded yet")
    ranges = cluster.network.ranges
    if (problem := range_problem(command.range, ranges)) is not None:
        return invalid(f"range: {problem}")
    draft.put_cluster(replace(cluster, network=replace(cluster.network, ranges=(*ranges, command.range))))
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
    """Gives a subnet to every node that lacks one, as far as they go; raises or resolves the alert."""
    lacking = sorted(node.id for node in draft.state.nodes.values() if _lacks(node))
    if lacking:
        cluster = draft.state.cluster
        taken = {node.subnet for node in draft.state.nodes.values()}
        ranges = Network().ranges if cluster is None else cluster.network.ranges
        free = (subnet for subnet in subnets(ranges) if subnet not in taken)
        for node_id, subnet in zip(list(lacking), free, strict=False):
            draft.put_node(replace(draft.state.nodes[node_id], subnet=subnet))
            lacking.remove(node_id)
    _tell(draft, lacking)


def _lacks(node: Node) -> bool:
    return node.subnet is None and node.facts.overlay is not OverlayMode.OFF


def _tell(draft: Draft, lacking: list[str]) -> None:
    standing = EXHAUSTED in draft.state.alerts
    if lacking and not standing:
        message = (
            f"the overlay's ranges are exhausted: {lacking[0]} got no subnet, and its containers are reached through"
            " published ports only; add a range with: hivemind overlay extend"
        )
        raised = Alert(
            id=EXHAUSTED,
            severity=Severity.WARNING,
            resource=f"node/{lacking[0]}",
            message=message,
            created_at_s=draft.time_s,
        )
        alert.raise_alert(draft, RaiseAlert(raised))
    elif standing and not lacking:
        alert.resolve(draft, ResolveAlert(EXHAUSTED))
