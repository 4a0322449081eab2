"""Deployments: recorded, begun, moved on by the leader, promoted and rolled back by hand."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import rollout
from consensus.apply.app import dependency_cycle, not_scalable, out_of_bounds, port_conflict, unknown_priority
from consensus.apply.hook import begin_hook
from consensus.apply.namespace import foreign, moved
from consensus.commands import (
    AdvanceDeployment,
    CreateDeployment,
    EndStandby,
    ExecuteDeployment,
    PromoteDeployment,
    RollbackDeployment,
)
from consensus.draft import Draft
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Deployment, DeploymentStatus, Move
from consensus.model.event import EventType
from consensus.model.strategy import ABTesting, RollingUpdate
from consensus.outcomes import AnyOutcome, Done, Recorded, Refusal, conflict, invalid, not_found

WAITING = 20
"""Deployments of one app that are recorded and not executed; the oldest are given up for newer ones."""


def create(draft: Draft, command: CreateDeployment) -> AnyOutcome:
    app = draft.state.apps.get(command.app)
    if app is None:
        return not_found("app", command.app)
    change = command.change
    refusal = None
    if change.replicas is not None:
        refusal = not_scalable(app) or out_of_bounds(app, change.replicas)
    if refusal is not None:
        return refusal
    spec = change.spec
    strategy = command.strategy or (spec or app.spec).update_strategy or RollingUpdate()
    replicas = change.replicas
    if replicas is None:
        replicas = app.spec.replicas if spec is None or app.spec.is_global else spec.replicas
    base = spec or app.spec
    image, digest = (base.image, base.image_digest) if change.image is None else (change.image, change.image_digest)
    deployment = Deployment(
        id=f"deployment-{draft.mint()}",
        app=app.name,
        namespace=app.spec.namespace,
        change=change,
        strategy=strategy,
        image=image,
        image_digest=digest,
        replicas=replicas,
        created_at_s=draft.time_s,
    )
    draft.put_deployment(deployment)
    if command.execute:
        refusal = _begin(draft, deployment)
        if refusal is not None:
            return refusal
    else:
        _give_up_oldest(draft, app)
    return Recorded(deployment_id=deployment.id, app=app.name)


def _give_up_oldest(draft: Draft, app: App) -> None:
    waiting = [
        deployment
        for deployment in draft.state.deployments.values()
        if deployment.app == app.name and deployment.status is DeploymentStatus.PENDING
    ]
    waiting.sort(key=lambda deployment: (deployment.created_at_s, deployment.id))
    for deployment in waiting[: max(0, len(waiting) - WAITING)]:
        _give_up(draft, deployment, f"never executed, and {WAITING} newer ones wait")


def _give_up(draft: Draft, deployment: Deployment, message: str) -> None:
    given_up = rollout.put_deployment(
        draft, deployment, status=DeploymentStatus.ROLLED_BACK, completed_at_s=draft.time_s, message=message
    )
    rollout.emit(draft, EventType.DEPLOYMENT_ROLLED_BACK, given_up)


def execute(draft: Draft, command: ExecuteDeployment) -> AnyOutcome:
    deployment = draft.state.deployments.get(command.deployment_id)
    if deployment is None:
        return not_found("deployment", command.deployment_id)
    if deployment.status is not DeploymentStatus.PENDING:
        never = deployment.started_at_s is None
        told = deployment.message if never else "it was executed already"
        return conflict(f"deployment {deployment.id!r} is {deployment.status}: {told}")
    return _begin(draft, deployment) or Done()


def _begin(draft: Draft, deployment: Deployment) -> Refusal | None:
    app = draft.state.apps.get(deployment.app)
    if app is None:
        return not_found("app", deployment.app)
    if app.rollout:
        return _busy(draft, app)
    refusal = _too_few(app, deployment)
    if refusal is not None:
        return refusal
    for spec in rollout.new_specs(app, deployment):
        if spec.mode != app.spec.mode:
            return conflict(f"mode: app {app.name!r} is {app.spec.mode}; delete it and deploy it anew as {spec.mode}")
        refusal = _unfit(draft, app, spec)
        if refusal is not None:
            return refusal
    rollout.begin(draft, app, deployment)
    return None


def _unfit(draft: Draft, app: App, spec: AppSpec) -> Refusal | None:
    """Why `app` cannot become `spec` as things are."""
    return (
        moved(app.name, app.spec, spec)
        or foreign(draft, spec)
        or unknown_priority(draft, spec)
        or port_conflict(draft, spec)
        or dependency_cycle(draft, spec)
    )


def _too_few(app: App, deployment: Deployment) -> Refusal | None:
    strategy = deployment.strategy
    if not isinstance(strategy, ABTesting) or app.spec.replicas >= strategy.least_replicas:
        return None
    beside = "" if len(strategy.variants) == strategy.least_replicas else " beside the present image"
    return conflict(
        f"app {app.name!r} has {app.spec.replicas} replicas: expected at least {strategy.least_replicas},"
        f" for an A/B test of {len(strategy.variants)} variants{beside}"
    )


def _busy(draft: Draft, app: App) -> Refusal:
    deployment = draft.state.deployment_of(app)
    paused = deployment is not None and deployment.status is DeploymentStatus.PAUSED
    what = "is paused; promote it or roll it back" if paused else "goes on; wait for it or roll it back"
    return conflict(f"deployment {app.rollout!r} of app {app.name!r} {what}")


def promote(draft: Draft, command: PromoteDeployment) -> AnyOutcome:
    deployment = draft.state.deployments.get(command.deployment_id)
    if deployment is None:
        return not_found("deployment", command.deployment_id)
    if deployment.status not in (DeploymentStatus.IN_PROGRESS, DeploymentStatus.PAUSED):
        return conflict(f"deployment {deployment.id!r} is {deployment.status}: there is nothing to promote")
    if deployment.status is DeploymentStatus.IN_PROGRESS:
        if deployment.step == 0:
            return conflict(f"deployment {deployment.id!r} runs its pre hook: there is nothing to promote yet")
        if deployment.promoted:
            return conflict(f"deployment {deployment.id!r} is at its last step: there is nothing to promote any more")
    strategy, before = deployment.strategy, deployment.new_revisions
    if command.variant is not None:
        if not isinstance(strategy, ABTesting):
            return invalid("variant: only an ab-testing deployment has variants")
        names = [strategy.name_of(i) for i in range(len(strategy.variants))]
        if command.variant not in names:
            return invalid(f"variant: expected one of {', '.join(names)}, got {command.variant!r}")
        if deployment.step > 1:
            return conflict(f"deployment {deployment.id!r} has its winner already")
        deployment = _choose(deployment, names.index(command.variant))
    elif _waits_for_a_winner(deployment):
        return invalid("variant: expected the name of the winner")
    app = draft.state.apps[deployment.app]
    if app.failed_rollout == deployment.id:
        app = replace(app, failed_rollout="")
        draft.put_app(app)
    paused = deployment.status is DeploymentStatus.PAUSED
    failing = sum(task.failing for task in draft.state.tasks_of_app(app.name) if task.wanted)
    deployment = rollout.put_deployment(
        draft,
        deployment,
        status=DeploymentStatus.IN_PROGRESS,
        # What goes on has no more time for it than before.
        step_at_s=draft.time_s if paused else deployment.step_at_s,
        approved_step=deployment.step,
        forgiven=failing if paused else deployment.forgiven,
        skipped_hooks=_skipped(deployment) if paused else deployment.skipped_hooks,
        message="",
    )
    if command.variant is not None:
        # Also where the test was paused before it began.
        deployment = replace(deployment, step=1)
        return _step(draft, app, deployment, f"variant {command.variant} takes all", before)
    rollout.emit(draft, EventType.DEPLOYMENT_STEP, deployment)
    return Done()


def _skipped(deployment: Deployment) -> tuple[str, ...]:
    """By a promotion out of a pause that the failure of a hook may have made."""
    hook = deployment.next_hook
    known = deployment.skipped_hooks
    return known if deployment.run_of_hook(hook) is None or hook in known else (*known, hook)


def _waits_for_a_winner(deployment: Deployment) -> bool:
    strategy = deployment.strategy
    running = deployment.status is DeploymentStatus.IN_PROGRESS
    return isinstance(strategy, ABTesting) and strategy.manual and deployment.step == 1 and running


def rollback(draft: Draft, command: RollbackDeployment) -> AnyOutcome:
    deployment = draft.state.deployments.get(command.deployment_id)
    if deployment is None:
        return not_found("deployment", command.deployment_id)
    app = draft.state.apps.get(deployment.app)
    if app is None:
        return not_found("app", deployment.app)
    if deployment.status is DeploymentStatus.PENDING:
        _give_up(draft, deployment, "rolled back before it was executed")
        return Done()
    if deployment.status is DeploymentStatus.COMPLETED:
        if app.rollout:
            return _busy(draft, app)
        if app.revision != deployment.new_revision or deployment.old_revision == app.revision:
            return conflict(f"deployment {deployment.id!r} is not what app {app.name!r} runs now")
        if (app.name, deployment.old_revision) not in draft.state.specs:
            return conflict(f"the revision before deployment {deployment.id!r} is no longer remembered")
        refusal = _unfit(draft, app, draft.state.specs[app.name, deployment.old_revision])
        if refusal is not None:
            return refusal
    elif deployment.status not in (DeploymentStatus.IN_PROGRESS, DeploymentStatus.PAUSED):
        return conflict(f"deployment {deployment.id!r} is {deployment.status}: there is nothing to roll back")
    deployment = rollout.turn_back(draft, app, deployment, "rolled back by hand")
    rollout.emit(draft, EventType.DEPLOYMENT_STEP, deployment)
    return Done()


def advance(draft: Draft, command: AdvanceDeployment) -> AnyOutcome:
    deployment = draft.state.deployments.get(command.deployment_id)
    if deployment is None:
        return not_found("deployment", command.deployment_id)
    if deployment.version != command.version or not deployment.status.active:
        return conflict(f"deployment {deployment.id!r} has changed meanwhile")
    app, before = draft.state.apps[deployment.app], deployment.new_revisions
    match command.move:
        case Move.STEP:
            if command.winner and command.winner not in deployment.new_revisions:
                return conflict(f"deployment {deployment.id!r} has no revision {command.winner}")
            if command.winner:
                deployment = _choose(deployment, deployment.new_revisions.index(command.winner))
            return _step(draft, app, deployment, command.message, before)
        case Move.HOOK:
            hook = deployment.next_hook
            # Why it goes back is what people ask for then.
            message = deployment.message if hook == "rollback" else command.message
            deployment = rollout.put_deployment(draft, begin_hook(draft, app, deployment, hook), message=message)
            rollout.emit(draft, EventType.DEPLOYMENT_STEP, deployment)
        case Move.START:
            rollout.start(draft, app, deployment)
        case Move.PROMOTE:
            return _take_over(draft, app, deployment)
        case Move.COMPLETE:
            deployment = rollout.finish(draft, app, deployment, DeploymentStatus.COMPLETED, command.message)
            rollout.emit(draft, EventType.DEPLOYMENT_COMPLETED, deployment)
        case Move.FAIL:
            return _fail(draft, app, deployment, command.message)
        case Move.FORCE:
            rollout.put_deployment(draft, deployment, forced=True)
        case Move.ROLLED_BACK:
            deployment = rollout.finish(draft, app, deployment, DeploymentStatus.ROLLED_BACK, command.message)
            rollout.emit(draft, EventType.DEPLOYMENT_ROLLED_BACK, deployment)
    return Done()


def _choose(deployment: Deployment, number: int) -> Deployment:
    """The winner is the only new revision from now on."""
    assert isinstance(deployment.strategy, ABTesting)
    variant = deployment.strategy.variants[number]
    return replace(
        deployment,
        new_revisions=(deployment.new_revisions[number],),
        image=variant.image,
        image_digest=variant.image_digest,
    )


def _step(draft: Draft, app: App, deployment: Deployment, message: str, before: tuple[int, ...]) -> AnyOutcome:
    """`before` are the revisions that it had; those of variants that lost are forgotten."""
    deployment = rollout.put_deployment(
        draft, deployment, step=deployment.step + 1, step_at_s=draft.time_s, message=message
    )
    draft.forget_unused_specs(app.name, set(before) - set(deployment.new_revisions))
    rollout.emit(draft, EventType.DEPLOYMENT_STEP, deployment)
    return Done()


def _take_over(draft: Draft, app: App, deployment: Deployment) -> AnyOutcome:
    spec = draft.state.specs[app.name, deployment.new_revision]
    refusal = port_conflict(draft, spec) or foreign(draft, spec)
    if refusal is not None:
        return _fail(draft, app, deployment, refusal.message)
    deployment = rollout.take_over(draft, app, deployment)
    rollout.emit(draft, EventType.DEPLOYMENT_STEP, deployment)
    return Done()


def _fail(draft: Draft, app: App, deployment: Deployment, reason: str) -> AnyOutcome:
    app = replace(app, failed_rollout=deployment.id)
    draft.put_app(app)
    if deployment.strategy.failure_action == "pause":
        failed = rollout.put_deployment(draft, deployment, status=DeploymentStatus.PAUSED, message=reason)
    else:
        failed = rollout.turn_back(draft, app, deployment, reason)
    rollout.emit(draft, EventType.DEPLOYMENT_FAILED, failed)
    return Done()


def end_standby(draft: Draft, command: EndStandby) -> AnyOutcome:
    app = draft.state.apps.get(command.app)
    if app is None:
        return not_found("app", command.app)
    if app.standby is not None and app.standby.revision == command.revision:
        rollout.end_standby(draft, app)
    return Done()
