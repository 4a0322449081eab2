"""Global apps: one replica on each node that fits.

A node in maintenance, or with a new NoSchedule taint, keeps the replica that it has, and gets none. One that drains,
that has a NoExecute taint or no longer has the labels, loses it; so does one that is lost, unless the app waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.commands import PlaceGlobalApp
from consensus.model.affinity import Term, affinity_labels, parse_affinity
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import DeploymentStatus
from consensus.model.node import Node, NodeStatus
from consensus.model.workload import intolerable
from consensus.state import State
from hivemind.orchestrator.alerts import MASS_LOSS


def plan(state: State, names: Iterable[str]) -> list[PlaceGlobalApp]:
    """For each of `names` that is a global app."""
    commands = []
    for name in sorted(names):
        app = state.apps.get(name)
        if app is None or not app.spec.is_global:
            continue
        fitting = _fitting(state, app)
        if set(fitting) != set(app.places.values()):
            commands.append(PlaceGlobalApp(name, fitting))
    return commands


def _fitting(state: State, app: App) -> list[str]:
    spec = _spec_to_be(state, app)
    try:
        terms = parse_affinity(spec.node_affinity or "")
    except ValueError:
        # Guessing what was meant could put a replica where it must not run.
        return []
    having = frozenset(app.places.values())
    waits = spec.keep_lost or MASS_LOSS in state.alerts
    return sorted(
        node.id
        for node in state.nodes.values()
        if _may_stay(node, spec, terms)
        and (_may_begin(node, spec) or (node.id in having and (node.holds_tasks or _is_waited_for(node, waits=waits))))
    )


def _spec_to_be(state: State, app: App) -> AppSpec:
    """While a deployment goes on, where its new replicas may be decides."""
    deployment = state.deployment_of(app)
    if deployment is None or deployment.status is DeploymentStatus.ROLLING_BACK:
        return app.spec
    return state.specs[app.name, deployment.new_revision]


def _may_stay(node: Node, spec: AppSpec, terms: Iterable[Term]) -> bool:
    if node.draining or intolerable(node.taints, spec.tolerations, ("NoExecute",)):
        return False
    labels = affinity_labels(node)
    return all(term.holds(labels) for term in terms)


def _may_begin(node: Node, spec: AppSpec) -> bool:
    return node.schedulable and not intolerable(node.taints, spec.tolerations, ("NoSchedule",))


def _is_waited_for(node: Node, *, waits: bool) -> bool:
    return waits and node.status is NodeStatus.LOST
