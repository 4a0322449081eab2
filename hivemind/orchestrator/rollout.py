"""Deployments, one decision at a time: on, done, failed, back. What is decided becomes state, and then the replicas
follow (`replicas`, `rolling`); so a new leader goes on where the last one was.
"""

from __future__ import annotations

from consensus.commands import AdvanceDeployment, EndStandby, ForgetRuns
from consensus.model.app import App
from consensus.model.deployment import Deployment, DeploymentStatus, Move
from consensus.model.strategy import ABTesting, BlueGreen, Simple
from consensus.progress import complaint, new_tasks, progress, still_testing, tolerates
from consensus.state import State
from hivemind.orchestrator.hooks import after_hook, forgotten
from hivemind.orchestrator.scheduler.impossible import why_impossible

Command = AdvanceDeployment | EndStandby | ForgetRuns


def plan(state: State, wall_s: float) -> list[Command]:
    """At most one decision for each app. `wall_s` is Unix time, compared with when the steps were agreed."""
    commands: list[Command] = []
    for name in sorted(state.changing_apps):
        app = state.apps[name]
        deployment = state.deployment_of(app)
        command: Command | None = None
        if deployment is not None:
            command = _decide(state, app, deployment, wall_s)
        standby = app.standby
        if command is None and standby is not None and standby.until_s is not None and wall_s >= standby.until_s:
            command = EndStandby(name, standby.revision)
        if command is not None:
            commands.append(command)
    return [*commands, *forgotten(state)]


def _decide(state: State, app: App, deployment: Deployment, wall_s: float) -> AdvanceDeployment | None:
    match deployment.status:
        case DeploymentStatus.IN_PROGRESS:
            found = _decide_forward(state, app, deployment, wall_s)
        case DeploymentStatus.ROLLING_BACK:
            found = _decide_back(state, app, deployment, wall_s)
        case _:
            found = None
    if found is None:
        return None
    move, message = found
    return AdvanceDeployment(
        deployment_id=deployment.id,
        version=deployment.version,
        move=move,
        message=message,
        winner=_winner(state, deployment) if move is Move.STEP else 0,
    )


def _decide_forward(state: State, app: App, deployment: Deployment, wall_s: float) -> tuple[Move, str] | None:
    strategy = deployment.strategy
    if deployment.step == 0:
        return after_hook(state, deployment, "pre", (Move.START, ""))
    seen = progress(state, app, deployment, wall_s)
    carry_on = tolerates(deployment)
    if seen.failing and seen.failing > (strategy.max_failure_ratio or 0.0) * seen.wanted and not carry_on:
        return Move.FAIL, f"{seen.failing} of {seen.wanted} new replicas fail: {complaint(state, app, deployment)}"
    complete = seen.counted >= seen.wanted and _stopped_enough(state, app, deployment)
    if seen.blocked and not carry_on and (why := _impossible(state, app, deployment)):
        return Move.FAIL, f"{seen.counted} of {seen.wanted} new replicas serve, and the others never will: {why}"
    if still_testing(deployment) and seen.failing:
        # A variant that fails has lost; the others need not wait for it.
        complete = True
    if not complete:
        if wall_s - seen.moved_at_s < strategy.progress_deadline_s:
            return None
        why = seen.blocked or complaint(state, app, deployment) or "they are not healthy"
        told = f"{seen.counted} of {seen.wanted} new replicas serve, no progress for {strategy.progress_deadline_s:g} s"
        if not carry_on:
            return Move.FAIL, f"{told}: {why}"
    if deployment.promoted:
        steady = not complete or wall_s - seen.steady_at_s >= strategy.monitor_s
        return after_hook(state, deployment, "post", (Move.COMPLETE, "")) if steady else None
    switches = isinstance(strategy, BlueGreen)
    if deployment.step >= deployment.total_steps and not switches:
        steady = not complete or wall_s - seen.steady_at_s >= strategy.monitor_s
        return (Move.PROMOTE, "") if steady else None
    if strategy.manual:
        if deployment.approved_step < deployment.step:
            return None
    elif wall_s - seen.steady_at_s < strategy.hold_s:
        return None
    # The second step of blue-green is the switch itself.
    return (Move.PROMOTE, "") if switches else (Move.STEP, f"step {deployment.step + 1} of {deployment.total_steps}")


def _impossible(state: State, app: App, deployment: Deployment) -> str:
    reasons = (why_impossible(state, app, revision) for revision in deployment.new_revisions)
    return next(filter(None, reasons), "")


def _stopped_enough(state: State, app: App, deployment: Deployment) -> bool:
    """The first step of `simple` is over when nothing of the app is left anywhere."""
    if not isinstance(deployment.strategy, Simple) or deployment.step > 1 or deployment.promoted:
        return True
    return not state.task_ids_by_app.get(app.name)


def _decide_back(state: State, app: App, deployment: Deployment, wall_s: float) -> tuple[Move, str] | None:
    late = wall_s - deployment.step_at_s >= deployment.strategy.progress_deadline_s
    wanted = [task for task in state.tasks_of_app(app.name) if task.wanted and not state.on_standby(task)]
    old = [task for task in wanted if task.revision == app.revision]
    if app.standby is None and len(old) == len(wanted) == app.spec.replicas:
        # Whose old replicas fail, too, is free for the next deployment, that may mend it.
        ill = sum(task.failing and not task.serving for task in old)
        if late or all(task.serving or task.failing for task in old):
            told = f"{deployment.message}; {ill} of {len(old)} old replicas fail, too" if ill else deployment.message
            return after_hook(state, deployment, "rollback", (Move.ROLLED_BACK, told))
    elif late and not deployment.forced:
        return Move.FORCE, ""
    return None


def _winner(state: State, deployment: Deployment) -> int:
    """The variant with the fewest failures for its size; of equals the one with the most replicas, then the first."""
    if not isinstance(deployment.strategy, ABTesting) or len(deployment.new_revisions) < 2:
        return 0
    tasks = new_tasks(state, state.apps[deployment.app], deployment)

    def rank(number: int) -> tuple[float, int, int]:
        own = [task for task in tasks if task.revision == deployment.new_revisions[number]]
        failures = sum(task.status.restart_count + task.failing for task in own)
        assert isinstance(deployment.strategy, ABTesting)
        return failures / max(1, len(own)), -deployment.strategy.variants[number].percentage, number

    return deployment.new_revisions[min(range(len(deployment.new_revisions)), key=rank)]


def timed(state: State) -> bool:
    """Whether time alone may change a decision."""
    for name in state.changing_apps:
        app = state.apps[name]
        deployment = state.deployment_of(app)
        if deployment is None or deployment.status is not DeploymentStatus.PAUSED:
            return True
    return False
