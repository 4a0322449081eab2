"""What a deployment does to its app: which specs it stores, who gets traffic, how it begins, turns back and ends.

The commands are in `deployment`; this is what they are made of, and what app commands need of it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace

from consensus.apply.hook import begin_hook, stop_hooks
from consensus.apply.service import end_unused, serve_app
from consensus.apply.task import retire
from consensus.apply.volume import provide_volumes
from consensus.draft import Draft
from consensus.model.app import App, Revision, Standby
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Deployment, DeploymentStatus, steps_of
from consensus.model.event import EventType
from consensus.model.image import image_fields
from consensus.model.strategy import ABTesting, BlueGreen

HISTORY = 20
"""Revisions of one app that are remembered, with their specs."""

_NOT_OF_REPLICAS = (
    "replicas",
    "resolve_image",
    "update_strategy",
    "min_available",
    "reschedule_after",
    "depends_on",
    "rebalance",
    "autoscale",
)
"""What may change without a new replica."""


def target_spec(app: App, deployment: Deployment) -> AppSpec:
    """What the app shall be: a whole new spec, or its own overlaid."""
    change = deployment.change
    if change.spec is not None:
        return replace(change.spec, replicas=deployment.replicas)
    spec = replace(app.spec, replicas=deployment.replicas)
    if change.image is not None:
        spec = replace(spec, **image_fields(change))
    if change.environment is not None:
        spec = replace(spec, env={**spec.env, **change.environment})
    if change.labels is not None:
        spec = replace(spec, labels={**spec.labels, **change.labels})
    return spec


def new_specs(app: App, deployment: Deployment) -> list[AppSpec]:
    """Of each of the deployment's new revisions: one, or one for each variant."""
    target = target_spec(app, deployment)
    if isinstance(deployment.strategy, ABTesting):
        return [replace(target, **image_fields(variant)) for variant in deployment.strategy.variants]
    return [target]


def alike(one: AppSpec, other: AppSpec) -> bool:
    """Whether replicas of both are the same: how many there are, and how they are changed, is not theirs."""
    same = {name: getattr(one, name) for name in _NOT_OF_REPLICAS}
    return one == replace(other, **same)


def put_deployment(draft: Draft, deployment: Deployment, **changes: Any) -> Deployment:
    """Stores the next version of it."""
    deployment = replace(deployment, version=deployment.version + 1, **changes)
    draft.put_deployment(deployment)
    draft.touched_apps.add(deployment.app)
    return deployment


def begin(draft: Draft, app: App, deployment: Deployment) -> Deployment:
    """The first step, or the hook before it. The app keeps its spec until the new one has proved good."""
    app = end_standby(draft, app)
    deployment = replace(_with_image(app, deployment), replicas=_replicas(app, deployment))
    specs = new_specs(app, deployment)
    same = len(specs) == 1 and alike(app.spec, specs[0])
    revisions = (app.revision,) if same else tuple(draft.put_spec(spec) for spec in specs)
    for spec in specs:
        # Before the first replica is placed, or each node would have one of its own.
        provide_volumes(draft, spec)
    app = replace(app, rollout=deployment.id)
    draft.put_app(app)
    deployment = put_deployment(
        draft,
        deployment,
        status=DeploymentStatus.IN_PROGRESS,
        started_at_s=draft.time_s,
        step_at_s=draft.time_s,
        old_revision=app.revision,
        new_revisions=revisions,
        in_place=same,
        previous_replicas=app.spec.replicas,
        steps=steps_of(deployment.strategy, app.spec.replicas),
        message="",
    )
    emit(draft, EventType.DEPLOYMENT_STARTED, deployment)
    hooks = deployment.strategy.hooks
    if hooks is not None and hooks.pre is not None:
        return put_deployment(draft, begin_hook(draft, app, deployment, "pre"), message="the pre hook runs")
    return start(draft, app, deployment)


def _replicas(app: App, deployment: Deployment) -> int:
    """How many there shall be at the end. Where nobody asked for a number, there are as many as now, and what the use
    of CPU has decided holds."""
    change, target = deployment.change, target_spec(app, deployment)
    decided = target.autoscale is not None and app.spec.autoscale is not None
    unasked = change.replicas is None and (change.spec is None or decided)
    return target.sized(app.spec.replicas if unasked else deployment.replicas).replicas


def _with_image(app: App, deployment: Deployment) -> Deployment:
    """The variants of an A/B test have their own: there, the one that was given stays until one has won."""
    if isinstance(deployment.strategy, ABTesting):
        return deployment
    target = target_spec(app, deployment)
    return replace(deployment, image=target.image, image_digest=target.image_digest)


def start(draft: Draft, app: App, deployment: Deployment) -> Deployment:
    """The first step; what changes in place is done with it."""
    if isinstance(deployment.strategy, BlueGreen) and not deployment.in_place:
        draft.put_app(replace(app, standby=Standby(deployment.new_revision, deployment.replicas)))
    deployment = put_deployment(draft, deployment, step=1, step_at_s=draft.time_s, message="")
    if deployment.in_place:
        deployment = take_over(draft, app, deployment)
    emit(draft, EventType.DEPLOYMENT_STEP, deployment)
    return deployment


def end_standby(draft: Draft, app: App) -> App:
    """Its replicas go in the same entry, or they would take traffic for a moment."""
    if app.standby is None:
        return app
    revision, app = app.standby.revision, replace(app, standby=None)
    for task in draft.state.tasks_of_app(app.name):
        if task.revision == revision:
            retire(draft, task)
    draft.put_app(app)
    draft.forget_unused_specs(app.name, [revision])
    return app


def take_over(draft: Draft, app: App, deployment: Deployment) -> Deployment:
    """The new spec becomes the app's own; with it, in this one commit, the traffic of a blue-green deployment."""
    new, old = deployment.new_revision, app.revision
    spec = draft.state.specs[app.name, new]
    standby = None
    if isinstance(deployment.strategy, BlueGreen) and not deployment.in_place and deployment.strategy.keep_old_s > 0:
        standby = Standby(old, app.spec.replicas, draft.time_s + deployment.strategy.keep_old_s)
    if deployment.in_place:
        target = target_spec(app, deployment)
        spec = replace(spec, **{name: getattr(target, name) for name in _NOT_OF_REPLICAS})
    app = replace(app, standby=standby)
    before = set_spec(draft, app, spec.sized(deployment.replicas), new, f"{deployment.id}: {spec.image}")
    return put_deployment(
        draft,
        deployment,
        promoted=True,
        step_at_s=draft.time_s,
        step=deployment.total_steps,
        old_revision=before,
    )


def set_spec(draft: Draft, app: App, spec: AppSpec, revision: int, reason: str) -> int:
    """Makes `spec`, stored at `revision`, the app's own, and notes it in its history. Returns where the one before is.

    With the app's own revision its replicas stay as they are: `spec` takes the place of the one before, which goes on
    under a revision that no replica has.
    """
    history, before = app.history, app.revision
    stored = draft.state.specs[app.name, revision]
    settled = revision == app.revision and stored != replace(spec, replicas=stored.replicas)
    if settled:
        before = draft.put_spec(stored)
        draft.change_spec(revision, spec)
        history = tuple(replace(entry, revision=before) if entry.revision == revision else entry for entry in history)
    if settled or revision != app.revision:
        number = history[-1].number + 1 if history else 1
        history = (*history, Revision(number, revision, draft.time_s, reason))
    forgotten, history = history[:-HISTORY], history[-HISTORY:]
    previous, previous_service = app.revision, app.service_name
    app = replace(app, spec=spec, revision=revision, updated_at_s=draft.time_s, history=history)
    draft.put_app(app)
    serve_app(draft, app.service_name, app.name, spec.namespace)
    if app.service_name != previous_service:
        end_unused(draft, previous_service, app.name)
    draft.forget_unused_specs(app.name, [entry.revision for entry in forgotten])
    draft.emit(
        EventType.SERVICE_UPDATED,
        [f"service/{app.service_name}", f"app/{app.name}"],
        name=app.service_name,
        app=app.name,
        previous_revision=previous,
        revision=revision,
    )
    return before


def turn_back(draft: Draft, app: App, deployment: Deployment, reason: str) -> Deployment:
    """To the old revision. Where its replicas still stand by, they get the traffic in this commit."""
    stop_hooks(draft, deployment, reason)
    if not deployment.promoted:
        if app.standby is not None:
            app = replace(app, standby=Standby(app.standby.revision, 0, 0.0))
        draft.put_app(replace(app, rollout=deployment.id))
        return _turned(draft, deployment, reason)
    old = deployment.old_revision
    standby = Standby(deployment.new_revision, 0, 0.0) if _stands_by(draft, app, deployment) else None
    spec = draft.state.specs[app.name, old]
    spec = spec.sized(_replicas_before(app, deployment, spec))
    provide_volumes(draft, spec)
    app = replace(app, rollout=deployment.id, standby=standby)
    deployment = _turned(draft, deployment, reason)
    same = deployment.new_revision == app.revision and alike(app.spec, spec)
    set_spec(draft, app, spec, app.revision if same else old, f"{deployment.id} rolled back")
    return deployment


def _stands_by(draft: Draft, app: App, deployment: Deployment) -> bool:
    """Whether the old set can take over at once: as much of it serves as of the new one, or as there was before."""
    if app.standby is None or app.standby.revision != deployment.old_revision:
        return False
    serving = Counter(task.revision for task in draft.state.tasks_of_app(app.name) if draft.state.serves(task))
    return serving[app.standby.revision] >= min(serving[app.revision], deployment.previous_replicas)


def _replicas_before(app: App, deployment: Deployment, spec: AppSpec) -> int:
    """How many there are to be again. A number that was set since, by hand or by the use of CPU, holds."""
    decided = spec.autoscale is not None and app.spec.autoscale is not None
    scaled_since = app.spec.replicas != deployment.replicas
    return app.spec.replicas if decided or scaled_since or spec.is_global else deployment.previous_replicas


def _turned(draft: Draft, deployment: Deployment, reason: str) -> Deployment:
    return put_deployment(
        draft,
        deployment,
        status=DeploymentStatus.ROLLING_BACK,
        step_at_s=draft.time_s,
        completed_at_s=None,
        message=reason,
    )


def finish(draft: Draft, app: App, deployment: Deployment, status: DeploymentStatus, message: str) -> Deployment:
    """The app is free for the next deployment; what only this one needed is forgotten."""
    deployment = put_deployment(draft, deployment, status=status, completed_at_s=draft.time_s, message=message)
    good = status is DeploymentStatus.COMPLETED
    draft.put_app(replace(app, rollout="", failed_rollout="" if good else app.failed_rollout))
    draft.forget_unused_specs(app.name, [deployment.old_revision, *deployment.new_revisions])
    return deployment


def scale_deployment(draft: Draft, app: App, replicas: int) -> None:
    """An app is scaled while its deployment goes on: the number holds for its end, too, and for the way back."""
    deployment = draft.state.deployment_of(app)
    if deployment is not None:
        put_deployment(draft, deployment, replicas=replicas, previous_replicas=replicas)
    standby = app.standby
    # The set that is kept, too: it must be able to take over at once.
    if standby is not None and (standby.until_s is None or standby.until_s > draft.time_s):
        draft.put_app(replace(app, standby=replace(standby, replicas=replicas)))


def end_with_app(draft: Draft, app: App) -> None:
    """The app is deleted: what goes on with it has failed."""
    for _, deployment in sorted(draft.state.deployments.items()):
        if deployment.app == app.name and not deployment.status.finished:
            message = "the app was deleted"
            stop_hooks(draft, deployment, message)
            failed = put_deployment(
                draft, deployment, status=DeploymentStatus.FAILED, completed_at_s=draft.time_s, message=message
            )
            emit(draft, EventType.DEPLOYMENT_FAILED, failed)


def emit(draft: Draft, event_type: EventType, deployment: Deployment, **more: Any) -> None:
    about = {
        "id": deployment.id,
        "deployment_id": deployment.id,
        "app": deployment.app,
        "app_name": deployment.app,
        "status": deployment.status.value,
        "current_step": deployment.step,
        "total_steps": deployment.total_steps,
        "message": deployment.message,
    }
    draft.emit(event_type, [f"deployment/{deployment.id}", f"app/{deployment.app}"], **{**about, **more})
