"""Deployments, one decision at a time: on, done, failed, back. What is decided becomes state, and then the replicas
follow (`replicas`, `rolling`); so a new leader goes on where the last one was.

A decision is a move, or until when to wait for one where nothing is heard of the replicas.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.commands import AdvanceDeployment, EndStandby, ForgetRuns
from consensus.model.app import App
from consensus.model.deployment import Deployment, DeploymentStatus, Move
from consensus.model.strategy import ABTesting, BlueGreen, Simple
from consensus.progress import Progress, complaint, new_tasks, progress, still_testing, tolerates
from consensus.state import State
from hivemind.orchestrator.hooks import Advance, after_hook, forgotten
from hivemind.orchestrator.scheduler.impossible import why_impossible

Command = AdvanceDeployment | EndStandby | ForgetRuns
INF = float("inf")


class Wait(Struct, frozen=True):
    """Nothing before this instant (Unix seconds), unless something is written; infinity: time alone brings nothing."""

    until_s: float = INF


Decision = Advance | Wait


def plan(state: State, wall_s: float) -> list[Command]:
    """At most one decision for each app. `wall_s` is Unix time, compared with when the steps were agreed."""
    return judge(state, wall_s)[0]


def judge(state: State, wall_s: float) -> tuple[list[Command], float]:
    """The plan, and when time alone makes another, in Unix seconds; infinity where it does not."""
    decisions = [_decide_app(state, state.apps[name], wall_s) for name in sorted(state.changing_apps)]
    commands = [*(found for found in decisions if not isinstance(found, Wait)), *forgotten(state)]
    due_at_s = min((found.until_s if isinstance(found, Wait) else wall_s for found in decisions), default=INF)
    return commands, due_at_s


def _decide_app(state: State, app: App, wall_s: float) -> AdvanceDeployment | EndStandby | Wait:
    deployment, standby = state.deployment_of(app), app.standby
    until_s = INF
    if deployment is not None:
        found = _decide(state, app, deployment, wall_s)
        if not isinstance(found, Wait):
            return _advance(state, deployment, *found)
        until_s = found.until_s
    if standby is not None and standby.until_s is not None:
        if wall_s >= standby.until_s:
            return EndStandby(app.name, standby.revision)
        until_s = min(until_s, standby.until_s)
    return Wait(until_s)


def _advance(state: State, deployment: Deployment, move: Move, message: str) -> AdvanceDeployment:
    return AdvanceDeployment(
        deployment_id=deployment.id,
        version=deployment.version,
        move=move,
        message=message,
        winner=_winner(state, deployment) if move is Move.STEP else 0,
    )


def _decide(state: State, app: App, deployment: Deployment, wall_s: float) -> Decision:
    match deployment.status:
        case DeploymentStatus.IN_PROGRESS if deployment.step == 0:
            return after_hook(state, deployment, "pre", (Move.START, "")) or Wait()
        case DeploymentStatus.IN_PROGRESS:
            return _decide_forward(state, app, deployment, wall_s)
        case DeploymentStatus.ROLLING_BACK:
            return _decide_back(state, app, deployment, wall_s)
        case _:
            return Wait()


def _decide_forward(state: State, app: App, deployment: Deployment, wall_s: float) -> Decision:
    seen = progress(state, app, deployment, wall_s)
    # A variant that fails has lost; the others need not wait for it.
    complete = _complete(state, app, deployment, seen) or (still_testing(deployment) and seen.failing > 0)
    deadline_s = seen.moved_at_s + deployment.strategy.progress_deadline_s
    late = not complete and wall_s >= deadline_s
    if not tolerates(deployment) and (why := _failure(state, app, deployment, seen, late=late)):
        return Move.FAIL, why
    if not complete and not late:
        return Wait(min(seen.counts_next_at_s, deadline_s))
    return _go_on(state, deployment, seen, wall_s, complete=complete)


def _complete(state: State, app: App, deployment: Deployment, seen: Progress) -> bool:
    if isinstance(deployment.strategy, Simple) and deployment.step == 1 and not deployment.promoted:
        # The first step of `simple` is over when nothing of the app is left anywhere.
        return not state.task_ids_by_app.get(app.name)
    return seen.counted >= seen.wanted


def _failure(state: State, app: App, deployment: Deployment, seen: Progress, *, late: bool) -> str:
    """Why it has failed; "" where it has not."""
    strategy = deployment.strategy
    if seen.failing > (strategy.max_failure_ratio or 0.0) * seen.wanted:
        return f"{seen.failing} of {seen.wanted} new replicas fail: {complaint(state, app, deployment)}"
    there = f"{seen.counted} of {seen.wanted} new replicas serve"
    if seen.blocked and (why := _impossible(state, app, deployment)):
        return f"{there}, and the others never will: {why}"
    if late:
        since = f"no progress for {strategy.progress_deadline_s:g} s"
        if seen.counted >= seen.wanted:
            return f"the old replicas have not stopped, {since}"
        why = seen.blocked or complaint(state, app, deployment) or "they are not healthy"
        return f"{there}, {since}: {why}"
    return ""


def _go_on(state: State, deployment: Deployment, seen: Progress, wall_s: float, *, complete: bool) -> Decision:
    """After a step that is over."""
    strategy = deployment.strategy
    # The second step of blue-green is the switch itself.
    switches = isinstance(strategy, BlueGreen)
    if deployment.promoted or (deployment.step >= deployment.total_steps and not switches):
        steady_at_s = seen.steady_at_s + strategy.monitor_s
        if complete and wall_s < steady_at_s:
            return Wait(steady_at_s)
        if not deployment.promoted:
            return Move.PROMOTE, ""
        return after_hook(state, deployment, "post", (Move.COMPLETE, "")) or Wait()
    if deployment.approved_step < deployment.step:
        held_until_s = INF if strategy.manual else seen.steady_at_s + strategy.hold_s
        if wall_s < held_until_s:
            return Wait(held_until_s)
    return (Move.PROMOTE, "") if switches else (Move.STEP, f"step {deployment.step + 1} of {deployment.total_steps}")


def _impossible(state: State, app: App, deployment: Deployment) -> str:
    reasons = (why_impossible(state, app, revision) for revision in deployment.new_revisions)
    return next(filter(None, reasons), "")


def _decide_back(state: State, app: App, deployment: Deployment, wall_s: float) -> Decision:
    """Over when the old replicas serve, and the new ones are gone. Where that does not come about in time, without
    regard to what serves; and once more in time, without those that cannot come back, as from a node that is lost."""
    patience_s = deployment.strategy.progress_deadline_s
    deadline_s = deployment.step_at_s + patience_s
    late = wall_s >= deadline_s
    wanted = [task for task in state.tasks_of_app(app.name) if task.wanted and not state.on_standby(task)]
    old = [task for task in wanted if task.revision == app.revision]
    missing = app.spec.replicas - len(old)
    given_up = deployment.forced and wall_s >= deadline_s + patience_s
    if app.standby is None and len(old) == len(wanted) and (missing == 0 or given_up):
        # Whose old replicas fail, too, is free for the next deployment, that may mend it.
        ill = sum(task.failing and not task.serving for task in old) + missing
        if late or all(state.serves(task) or task.failing for task in old):
            told = f"{deployment.message}; {ill} of {app.spec.replicas} old replicas fail, too" if ill else ""
            return after_hook(state, deployment, "rollback", (Move.ROLLED_BACK, told or deployment.message)) or Wait()
    elif late and not deployment.forced:
        return Move.FORCE, ""
    return Wait(next((at_s for at_s in (deadline_s, deadline_s + patience_s) if at_s > wall_s), INF))


def _winner(state: State, deployment: Deployment) -> int:
    """The variant with the fewest failures for its size; of equals the one with the most replicas, then the first."""
    if not isinstance(deployment.strategy, ABTesting) or len(deployment.new_revisions) < 2:
        return 0
    tasks = new_tasks(state, state.apps[deployment.app], deployment)

    def rank(number: int) -> tuple[bool, float, int, int]:
        own = [task for task in tasks if task.revision == deployment.new_revisions[number]]
        failures = sum(task.status.restart_count + task.failing for task in own)
        assert isinstance(deployment.strategy, ABTesting)
        # Of whom there was none, nothing is known.
        return not own, failures / max(1, len(own)), -deployment.strategy.variants[number].percentage, number

    return deployment.new_revisions[min(range(len(deployment.new_revisions)), key=rank)]
