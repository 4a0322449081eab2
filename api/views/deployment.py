"""Deployments, and how far they are."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from api.views.container import time_or_none
from consensus.model.app import App, Revision
from consensus.model.deployment import Deployment, DeploymentStatus, HookRun, steps_of
from consensus.model.image import known_digest
from consensus.model.strategy import ABTesting, BlueGreen, Simple
from consensus.progress import Progress, hindrance, progress
from consensus.state import State
from consensus.timestamp import iso_utc


class DeploymentItem(Struct, frozen=True, kw_only=True):
    id: str
    app_name: str
    namespace: str
    image: str
    image_digest: str | None
    replicas: int
    strategy: str
    status: str
    message: str
    created_at: str
    started_at: str | None
    completed_at: str | None


class HookItem(Struct, frozen=True, kw_only=True):
    """A hook that was begun. What it wrote is in the logs of its containers: one for each attempt."""

    name: str
    run_id: str
    status: str
    message: str
    started_at: str | None
    finished_at: str | None
    containers: list[str]


class DeploymentDetail(Struct, frozen=True, kw_only=True):
    id: str
    app_name: str
    namespace: str
    image: str
    image_digest: str | None
    replicas: int
    strategy: dict[str, Any]
    environment: dict[str, str]
    labels: dict[str, str]
    status: str
    message: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    hooks: list[HookItem]


class DeploymentProgress(Struct, frozen=True, kw_only=True):
    """`current_replicas`: those of the target that serve now."""

    id: str
    status: str
    current_step: int
    total_steps: int
    current_replicas: int
    target_replicas: int
    message: str


class RevisionItem(Struct, frozen=True, kw_only=True):
    """`number` counts from 1; `spec` is a body of ``PUT /apps/{name}`` that leads back to it."""

    number: int
    image: str
    image_digest: str | None
    created_at: str
    reason: str
    current: bool
    spec: dict[str, Any]


def deployment_item(state: State, deployment: Deployment, now_s: float) -> DeploymentItem:
    return DeploymentItem(
        id=deployment.id,
        app_name=deployment.app,
        namespace=deployment.namespace,
        image=deployment.image,
        image_digest=known_digest(deployment.image, deployment.image_digest),
        replicas=deployment.replicas,
        strategy=_strategy(deployment)["type"],
        status=deployment.status.value,
        message=_told(state, deployment, now_s),
        created_at=iso_utc(deployment.created_at_s),
        started_at=time_or_none(deployment.started_at_s),
        completed_at=time_or_none(deployment.completed_at_s),
    )


def _told(state: State, deployment: Deployment, now_s: float) -> str:
    """Of one that goes on, what its status says; of others, what became of them."""
    if deployment.status is not DeploymentStatus.IN_PROGRESS:
        return deployment.message
    return deployment_message(state, state.apps.get(deployment.app), deployment, now_s)


def _hook_item(state: State, hook: HookRun) -> HookItem:
    run = state.runs.get(hook.run_id)
    return HookItem(
        name=hook.name,
        run_id=hook.run_id,
        status="forgotten" if run is None else run.status.value,
        message="" if run is None else run.message,
        started_at=None if run is None else iso_utc(run.created_at_s),
        finished_at=None if run is None else time_or_none(run.finished_at_s),
        containers=[] if run is None else [task.id for task in state.tasks_of_run(run)],
    )


def deployment_detail(state: State, deployment: Deployment, now_s: float) -> DeploymentDetail:
    change = deployment.change
    return DeploymentDetail(
        id=deployment.id,
        app_name=deployment.app,
        namespace=deployment.namespace,
        image=deployment.image,
        image_digest=known_digest(deployment.image, deployment.image_digest),
        replicas=deployment.replicas,
        strategy=_strategy(deployment),
        environment=(change.spec.env if change.spec is not None else change.environment) or {},
        labels=(change.spec.labels if change.spec is not None else change.labels) or {},
        status=deployment.status.value,
        message=_told(state, deployment, now_s),
        created_at=iso_utc(deployment.created_at_s),
        started_at=time_or_none(deployment.started_at_s),
        completed_at=time_or_none(deployment.completed_at_s),
        hooks=[_hook_item(state, hook) for hook in deployment.hook_runs],
    )


def _strategy(deployment: Deployment) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(deployment.strategy)
    return told


def deployment_progress(state: State, deployment: Deployment, now_s: float) -> DeploymentProgress:
    app = state.apps.get(deployment.app)
    pending = deployment.status is DeploymentStatus.PENDING
    replicas = deployment.replicas if app is None or not pending else app.spec.replicas
    back = deployment.status in (DeploymentStatus.ROLLING_BACK, DeploymentStatus.ROLLED_BACK)
    return DeploymentProgress(
        id=deployment.id,
        status=deployment.status.value,
        current_step=deployment.step,
        total_steps=steps_of(deployment.strategy, replicas) if pending else deployment.total_steps,
        current_replicas=_current_replicas(state, deployment),
        target_replicas=deployment.previous_replicas if back else deployment.replicas,
        message=deployment_message(state, app, deployment, now_s),
    )


def _current_replicas(state: State, deployment: Deployment) -> int:
    back = deployment.status in (DeploymentStatus.ROLLING_BACK, DeploymentStatus.ROLLED_BACK)
    revisions = (deployment.old_revision,) if back else deployment.new_revisions
    return sum(state.serves(task) and task.revision in revisions for task in state.tasks_of_app(deployment.app))


def deployment_message(state: State, app: App | None, deployment: Deployment, now_s: float) -> str:
    """How far it is, and what holds it up."""
    if deployment.status is DeploymentStatus.PENDING:
        return "Not executed yet"
    if deployment.status is DeploymentStatus.COMPLETED:
        return "Deployment completed"
    if app is None or deployment.status is not DeploymentStatus.IN_PROGRESS:
        return deployment.message
    return _in_progress(app, deployment, progress(state, app, deployment, now_s))


def _in_progress(app: App, deployment: Deployment, seen: Progress) -> str:
    strategy = deployment.strategy
    if deployment.step == 0 or (deployment.promoted and deployment.run_of_hook("post") is not None):
        return deployment.message
    counts = f"{seen.counted} of {seen.wanted} new replicas healthy"
    if isinstance(strategy, Simple) and deployment.step == 1 and not deployment.promoted:
        return "Stopping the old replicas"
    if seen.counted < seen.wanted:
        hindered = hindrance(app, deployment, seen)
        return f"Deploying new containers: {counts}" + (f"; {hindered}" if hindered else "")
    if deployment.promoted:
        return f"Watching all replicas: {counts}"
    if strategy.manual and deployment.approved_step < deployment.step:
        what = "the name of the winner" if isinstance(strategy, ABTesting) else "promotion"
        return f"Waiting for {what}: {counts}"
    if isinstance(strategy, BlueGreen):
        return f"Switching traffic: {counts}"
    return f"Watching step {deployment.step} of {deployment.total_steps}: {counts}"


def revision_item(state: State, app: App, entry: Revision) -> RevisionItem:
    spec = state.specs[app.name, entry.revision]
    body = msgspec.to_builtins(spec)
    if spec.is_global:
        # The nodes say how many those are; nobody may ask for a number.
        del body["replicas"]
    return RevisionItem(
        number=entry.number,
        image=spec.image,
        image_digest=known_digest(spec.image, spec.image_digest),
        created_at=iso_utc(entry.created_at_s),
        reason=entry.reason,
        current=entry == app.history[-1],
        spec=body,
    )
