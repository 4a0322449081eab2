"""The alerts that stand for what is wrong with one app, one rollout or one node, as long as it is wrong.

One alert for an app, not one for each of its containers: its message counts them and says what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from consensus.commands import RaiseAlert, ResolveAlert
from consensus.model.alert import Alert, Severity
from consensus.model.app import App
from consensus.model.node import NodeStatus
from consensus.model.task import Health, Task, TaskState
from consensus.state import State

APP_FAILING = "app-failing."
ROLLOUT_FAILED = "rollout-failed."
NODE_LOST = "node-lost."
"""How the ids of the alerts begin; the app's or the node's name follows."""

STEADY_S = 10.0
"""What was restarted must have served for so long, or the alert of a crash loop would come and go with each turn."""
REFRESH_S = 5.0
"""How often the words of an alert that stands are brought up to date: many replicas that fail one by one are not worth
an entry each."""
_LOOPS_FROM = 2
"""Restarts from which an end is no accident."""
_REASONS = 3


class Condition(Struct, frozen=True):
    severity: Severity
    resource: str
    message: str


def plan(state: State, apps: Iterable[str], wall_s: float, *, refresh: bool = True) -> list[RaiseAlert | ResolveAlert]:
    """For `apps`, those that have an alert already, and all nodes. `wall_s` is Unix time; with `refresh` alerts that
    stand get the words that hold now."""
    commands: list[RaiseAlert | ResolveAlert] = []
    names = {*apps, *standing(state)}
    for name in sorted(names):
        app = state.apps.get(name)
        failing = None if app is None else _app_condition(state, app)
        if failing is None and app is not None and not _steady(state, app, wall_s):
            failing = _kept(state.alerts.get(APP_FAILING + name))
        turned_out = None if app is None else _rollout_condition(state, app)
        commands += _alert(state, APP_FAILING + name, failing, wall_s, refresh)
        commands += _alert(state, ROLLOUT_FAILED + name, turned_out, wall_s, refresh)
    lost = {node.id for node in state.nodes.values() if node.status is NodeStatus.LOST}
    known = {alert_id.removeprefix(NODE_LOST) for alert_id in state.alerts if alert_id.startswith(NODE_LOST)}
    for node_id in sorted(lost | known):
        found = None
        if node_id in lost:
            message = f"node {node_id} is lost: {state.nodes[node_id].status_message}"
            found = Condition(Severity.CRITICAL, f"node/{node_id}", message)
        commands += _alert(state, NODE_LOST + node_id, found, wall_s, refresh)
    return commands


def standing(state: State) -> Iterator[str]:
    """The apps that have an alert."""
    for alert_id in state.alerts:
        for kind in (APP_FAILING, ROLLOUT_FAILED):
            if alert_id.startswith(kind):
                yield alert_id.removeprefix(kind)


def _alert(
    state: State, alert_id: str, found: Condition | None, wall_s: float, refresh: bool
) -> Iterator[RaiseAlert | ResolveAlert]:
    """What is to be done so that the alert says what was found. It gets worse, but not better, while it stands."""
    before = state.alerts.get(alert_id)
    worse = found is not None and found.severity is Severity.CRITICAL
    if before is not None and (found is None or (worse and before.severity is not Severity.CRITICAL)):
        yield ResolveAlert(alert_id)
        before = None
    if before is None and found is not None:
        yield RaiseAlert(
            Alert(
                id=alert_id,
                severity=found.severity,
                resource=found.resource,
                message=found.message,
                created_at_s=wall_s,
            )
        )
    elif before is not None and found is not None and refresh and before.message != found.message:
        yield RaiseAlert(replace(before, message=found.message))


def _kept(alert: Alert | None) -> Condition | None:
    return None if alert is None else Condition(alert.severity, alert.resource, alert.message)


def _wanted(state: State, app: App) -> list[Task]:
    return [task for task in state.tasks_of_app(app.name) if task.wanted]


def _app_condition(state: State, app: App) -> Condition | None:
    tasks = _wanted(state, app)
    ill = [task for task in tasks if _fails(task)]
    if not ill:
        return None
    reasons = sorted({task.status.message or task.placement_message or task.health.value for task in ill})
    told = "; ".join(reasons[:_REASONS])
    serving = any(task.serving for task in tasks)
    return Condition(
        Severity.WARNING if serving else Severity.CRITICAL,
        f"app/{app.name}",
        f"{len(ill)} of {len(tasks)} replicas of {app.name} fail: {told}",
    )


def _fails(task: Task) -> bool:
    """Unhealthy, without a place, could not start, given up, or ended again and again."""
    status = task.status
    if task.node_id is None:
        # Whoever waits for another app has not failed; that one has its own alert.
        return task.lacks_place
    if task.health is Health.UNHEALTHY:
        return True
    loops = status.restart_count >= _LOOPS_FROM
    if status.state is TaskState.FAILED:
        return loops or status.final or status.started_at_s is None
    if status.state < TaskState.RUNNING:
        # Between two turns of the loop.
        return loops
    return status.state is TaskState.COMPLETED and loops and not status.final


def _steady(state: State, app: App, wall_s: float) -> bool:
    for task in _wanted(state, app):
        if task.status.restart_count == 0 or task.status.final:
            continue
        if task.serving_since_s is None or wall_s - task.serving_since_s < STEADY_S:
            return False
    return True


def _rollout_condition(state: State, app: App) -> Condition | None:
    deployment = state.deployments.get(app.failed_rollout)
    if deployment is None:
        return None
    told = f"deployment {deployment.id} of {app.name} failed: {deployment.message}"
    return Condition(Severity.WARNING, f"deployment/{deployment.id}", told)
