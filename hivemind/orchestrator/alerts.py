"""The alert of a mass loss, and with it the pause in which nothing is rescheduled (design.md §3).

Where more than a third of the nodes goes at once, the cause is more likely a switch than the nodes: the rest could
not carry everything, and would only be overrun.
"""

from __future__ import annotations

from collections.abc import Mapping

from consensus.commands import RaiseAlert, ResolveAlert
from consensus.model.alert import Alert, Severity
from consensus.model.node import Node, NodeStatus
from consensus.state import State
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.members import MemberState
from hivemind.orchestrator.observer import Evidence

MASS_LOSS = "mass-node-loss"
_LEAST = 2
"""One node alone is no mass: with two or three nodes its tasks are wanted elsewhere at once."""


def plan(
    state: State, evidence: Mapping[str, Evidence], config: OrchestratorConfig, wall_s: float
) -> list[RaiseAlert | ResolveAlert]:
    """`wall_s` is Unix time, compared with when the statuses were agreed."""
    alert = state.alerts.get(MASS_LOSS)
    nodes = state.nodes.values()
    staying = [node for node in nodes if node.status in (NodeStatus.READY, NodeStatus.RESTARTING)]
    # Those that are about to be lost count too, or the first of them would be rescheduled before the rest is known.
    doubted = [node for node in staying if _falls_silent(node, evidence.get(node.id), config)]
    if alert is None:
        lost = [node for node in nodes if node.status is NodeStatus.LOST and _age_s(node, wall_s) < config.settle_s]
        down, base = len(lost) + len(doubted), len(lost) + len(staying)
        if down < _LEAST or 3 * down <= base:
            return []
        message = (
            f"{down} of {base} nodes were lost at once; their tasks stay where they are until a majority is stable"
        )
        raised = Alert(
            id=MASS_LOSS, severity=Severity.CRITICAL, resource="cluster", message=message, created_at_s=wall_s
        )
        return [RaiseAlert(raised)]
    with_it = alert.created_at_s - 2 * config.settle_s
    lost = [node for node in nodes if node.status is NodeStatus.LOST and node.status_since_s >= with_it]
    ready = sum(node.status is NodeStatus.READY for node in staying) - len(doubted)
    settled = not doubted and all(_age_s(node, wall_s) >= config.settle_s for node in (*lost, *staying))
    if settled and 2 * ready > len(lost) + len(staying):
        return [ResolveAlert(MASS_LOSS)]
    return []


def _age_s(node: Node, wall_s: float) -> float:
    return wall_s - node.status_since_s


def _falls_silent(node: Node, found: Evidence | None, config: OrchestratorConfig) -> bool:
    if node.status is not NodeStatus.READY or found is None or found.silent_s is None:
        return False
    alive = found.view is not None and found.view.state is MemberState.ALIVE
    return not alive and found.silent_s >= config.lost_after_s / 2
