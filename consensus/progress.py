"""How far a deployment is, seen from the state: for the leader, which decides by it, and for those who ask."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app import App
from consensus.model.deployment import Deployment, Share, shares
from consensus.model.strategy import ABTesting, BlueGreen, RollingUpdate
from consensus.model.task import AWAITS, Task
from consensus.state import State
from consensus.timestamp import iso_utc

_ROUNDING = 1e-6
CLOCK_SKEW_S = 5.0
"""Clocks of nodes that keep time by NTP differ by less; those that differ by more must not hold up rollouts."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far the present step is.

    Attributes:
        wanted: how many new replicas it shall have.
        counted: how many of them have served for `min_healthy`, or may fail.
        failing: how many are a bad sign, without those that a promotion by hand accepted.
        blocked: why a new replica finds no place.
        counts_next_at_s: when the next of those that serve will count; infinity where there is none.
        moved_at_s: when something last got better.
        steady_at_s: since when all that count have served.
    """

    wanted: int
    counted: int
    failing: int
    blocked: str
    counts_next_at_s: float
    moved_at_s: float
    steady_at_s: float


def new_tasks(state: State, app: App, deployment: Deployment) -> list[Task]:
    """The wanted replicas of what is deployed; where that changes in place, only those that came with it."""
    return [task for task in _wanted(state, app, deployment) if not _was_before(task, deployment)]


def _wanted(state: State, app: App, deployment: Deployment) -> list[Task]:
    revisions = deployment.new_revisions
    return [task for task in state.tasks_of_app(app.name) if task.wanted and task.revision in revisions]


def _was_before(task: Task, deployment: Deployment) -> bool:
    return deployment.in_place and task.created_at_s < (deployment.started_at_s or 0.0)


def _serving_since_s(task: Task, wall_s: float) -> float:
    """Its node says so by its own clock. Where that is far ahead or behind, it counts from when the leader made it."""
    since_s = task.serving_since_s
    if since_s is None or not task.created_at_s - CLOCK_SKEW_S <= since_s <= wall_s + CLOCK_SKEW_S:
        return task.created_at_s
    return since_s


def tolerates(deployment: Deployment) -> bool:
    """Whether it goes on although replicas fail; an A/B test just loses that variant."""
    return deployment.strategy.failure_action == "continue" or still_testing(deployment)


def still_testing(deployment: Deployment) -> bool:
    """Whether variants still compete."""
    return isinstance(deployment.strategy, ABTesting) and len(deployment.new_revisions) > 1


def progress(state: State, app: App, deployment: Deployment, wall_s: float) -> Progress:
    """Of one that has begun. `wall_s` is Unix time."""
    strategy = deployment.strategy
    current = [task for task in _wanted(state, app, deployment) if not state.outdated(task)]
    # What changes in place answers for the replicas that it adds, and not for those that were there.
    tasks = [task for task in current if not _was_before(task, deployment)]
    checked = app.spec.health_check is not None
    if deployment.new_revisions:
        checked = state.specs[app.name, deployment.new_revision].health_check is not None
    least_s = strategy.min_healthy_s(checked=checked)
    since = [_serving_since_s(task, wall_s) for task in tasks if state.serves(task)]
    # Begun through a node whose clock is ahead: the first step does not wait for that.
    step_is_ahead = deployment.step_at_s > wall_s + CLOCK_SKEW_S
    failing = [task for task in tasks if task.failing]
    count_at_s = [at_s + least_s for at_s in since]
    counted = len(current) - len(tasks) + sum(at_s <= wall_s for at_s in count_at_s)
    wanted = _new_wanted(app, deployment)
    ill = sum(not task.serving for task in failing)
    counted += ill if tolerates(deployment) else min(ill, _may_fail(deployment, wanted))
    return Progress(
        wanted=wanted,
        counted=counted,
        failing=max(0, len(failing) - deployment.forgiven),
        blocked=next((task.placement_message for task in tasks if task.node_id is None and task.placement_message), ""),
        counts_next_at_s=min((at_s for at_s in count_at_s if at_s > wall_s), default=float("inf")),
        moved_at_s=max([deployment.step_at_s, *since, *(task.created_at_s for task in tasks)]),
        steady_at_s=max(
            [*([] if deployment.promoted or step_is_ahead else [deployment.step_at_s]), *since], default=0.0
        ),
    )


def within_ratio(state: State, app: App, deployment: Deployment) -> bool:
    """Whether no more of the new replicas fail than `max_failure_ratio` allows."""
    if not deployment.strategy.max_failure_ratio or still_testing(deployment):
        return False
    failing = sum(task.failing for task in new_tasks(state, app, deployment) if not state.outdated(task))
    return failing <= _may_fail(deployment, _new_wanted(app, deployment))


def _may_fail(deployment: Deployment, wanted: int) -> int:
    """How many of `wanted` by its ratio."""
    return int((deployment.strategy.max_failure_ratio or 0.0) * wanted + _ROUNDING)


def _new_wanted(app: App, deployment: Deployment) -> int:
    if isinstance(deployment.strategy, BlueGreen) and not deployment.promoted:
        return 0 if app.standby is None else app.standby.replicas
    shared: list[Share] = shares(app, deployment)
    return sum(share.replicas for share in shared if share.revision in deployment.new_revisions)


def complaint(state: State, app: App, deployment: Deployment) -> str:
    """What the failing replicas say of themselves."""
    failing = [task for task in new_tasks(state, app, deployment) if task.failing]
    told = sorted({task.status.message or task.health.value for task in failing})
    return "; ".join(told[:3])


def hindrance(app: App, deployment: Deployment, seen: Progress) -> str:
    """Why a new replica of the present step has no place, and what comes of it; "" where all have one."""
    if not seen.blocked:
        return ""
    strategy, replicas = deployment.strategy, max(1, app.spec.replicas)
    keeper = ""
    if isinstance(strategy, RollingUpdate) and not strategy.stop_first and not seen.blocked.startswith(AWAITS):
        if not strategy.at_once(replicas)[1]:
            keeper = "max_unavailable"
        elif app.spec.min_available is not None and app.spec.least_available >= app.spec.replicas:
            keeper = "min_available"
    held = f", and no old replica stops first, since {keeper} lets none be missing" if keeper else ""
    until = iso_utc(seen.moved_at_s + strategy.progress_deadline_s)
    then = {"rollback": "is rolled back", "pause": "is paused", "continue": "goes on without it"}
    return f"{seen.blocked}{held}; awaited until {until}, then it {then[strategy.failure_action]}"
