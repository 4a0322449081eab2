"""Apps: what was asked for, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

from api.views.container import (
    MountView,
    PortView,
    ResourcesView,
    health_word,
    mount_views,
    out_of_sight,
    port_views,
    resources_view,
    status_word,
    why,
)
from api.views.deployment import deployment_message
from api.views.fields import same_fields
from consensus.model.app import App
from consensus.model.health_check import HttpProbe, TcpProbe
from consensus.model.image import known_digest
from consensus.model.quantity import Duration
from consensus.model.strategy import Amount, Strategy
from consensus.model.task import Task, TaskState
from consensus.model.workload import Toleration
from consensus.state import State
from consensus.timestamp import iso_utc

V = TypeVar("V", bound=Struct)


class HealthCheckView(Struct, frozen=True):
    """One of the first three is there."""

    command: str | None
    http: HttpProbe | None
    tcp: TcpProbe | None
    interval: Duration
    timeout: Duration
    retries: int
    start_period: Duration


class RestartView(Struct, frozen=True):
    policy: str
    max_attempts: int | None
    window: Duration | None
    backoff: Duration
    max_backoff: Duration


class DependencyView(Struct, frozen=True):
    app: str
    condition: str


class AutoscaledView(Struct, frozen=True):
    at: str
    previous_replicas: int
    replicas: int
    reason: str


class AutoscaleView(Struct, frozen=True, kw_only=True):
    """`last` is the last time that the number was changed by it."""

    min: int
    max: int
    cpu_target: int
    tolerance: float
    up_window: Duration
    down_window: Duration
    last: AutoscaledView | None


def _autoscale_view(app: App) -> AutoscaleView | None:
    rule, done = app.spec.autoscale, app.autoscaled
    if rule is None:
        return None
    last = (
        None if done is None else AutoscaledView(iso_utc(done.at_s), done.previous_replicas, done.replicas, done.reason)
    )
    return AutoscaleView(**same_fields(type(rule), rule), last=last)


def _same(view: type[V], value: Struct) -> V:
    """`view` of the fields of `value` that have the same names."""
    return view(**same_fields(view, value))


class AppContainer(Struct, frozen=True):
    """`message`: why it does not run."""

    id: str
    node_id: str | None
    status: str
    health: str
    message: str


class AppItem(Struct, frozen=True, kw_only=True):
    """`image_digest`: which image that is, in its registry; null: each node finds out by itself.

    `status`: running when every wanted replica runs, scaled_down with none wanted, completed when all have ended
    well and are not started again; where some fail or their node is lost, degraded while others run, else failed;
    else deploying.
    """

    name: str
    namespace: str
    image: str
    image_digest: str | None
    replicas: int
    running_replicas: int
    status: str
    service: str
    created_at: str
    updated_at: str


class AppDetail(AppItem, frozen=True, kw_only=True):
    """`deployment_id`: of the one that goes on; `deployment_message`: how far it is, and what holds it up."""

    mode: str
    image_architectures: list[str]
    resolve_image: bool
    containers: list[AppContainer]
    resources: ResourcesView
    env: dict[str, str]
    labels: dict[str, str]
    command: list[str] | None
    args: list[str] | None
    volumes: list[MountView]
    ports: list[PortView]
    health_check: HealthCheckView | None
    restart: RestartView
    depends_on: list[DependencyView]
    min_available: Amount | None
    reschedule_after: Duration | None
    node_affinity: str | None
    service_affinity: str | None
    priority_class: str | None
    stop_signal: str | None
    stop_grace_period: Duration
    drain_timeout: Duration | None
    keep_lost: bool
    rebalance: bool
    autoscale: AutoscaleView | None
    tolerations: list[Toleration]
    spread: str | None
    update_strategy: Strategy | None
    deployment_id: str | None
    deployment_message: str | None
    revision: int
    generation: int


def _running(state: State, task: Task) -> bool:
    return task.wanted and task.status.state is TaskState.RUNNING and not out_of_sight(state, task)


def _status(state: State, app: App, tasks: Sequence[Task], running: int) -> str:
    wanted = app.spec.replicas
    if not wanted and not app.spec.is_global:
        return "scaled_down"
    if wanted and running >= wanted:
        return "running"
    replicas = [task for task in tasks if task.wanted]
    if any(task.status.state is TaskState.FAILED or out_of_sight(state, task) for task in replicas):
        return "degraded" if running else "failed"
    completed = sum(task.status.state is TaskState.COMPLETED for task in replicas)
    return "completed" if completed >= wanted > 0 else "deploying"


def app_item(state: State, app: App) -> AppItem:
    tasks = [state.tasks[task_id] for task_id in state.task_ids_by_app.get(app.name, ())]
    tasks = [task for task in tasks if not state.on_standby(task)]
    running = sum(_running(state, task) for task in tasks)
    wanted = app.spec.replicas
    return AppItem(
        name=app.name,
        namespace=app.spec.namespace,
        image=app.spec.image,
        image_digest=known_digest(app.spec.image, app.spec.image_digest),
        replicas=wanted,
        running_replicas=running,
        status=_status(state, app, tasks, running),
        service=app.service_name,
        created_at=iso_utc(app.created_at_s),
        updated_at=iso_utc(app.updated_at_s),
    )


def app_detail(state: State, app: App, now_s: float) -> AppDetail:
    item, spec, deployment = app_item(state, app), app.spec, state.deployment_of(app)
    check = spec.health_check
    return AppDetail(
        **same_fields(AppItem, item),
        containers=[
            AppContainer(task.id, task.node_id, status_word(state, task), health_word(state, task), why(state, task))
            for task in state.tasks_of_app(app.name)
        ],
        mode=spec.mode,
        image_architectures=spec.image_architectures,
        resolve_image=spec.resolve_image,
        resources=resources_view(spec.resources),
        env=spec.env,
        labels=spec.labels,
        command=spec.command,
        args=spec.args,
        volumes=mount_views(spec),
        ports=port_views(spec.ports),
        health_check=None if check is None else _same(HealthCheckView, check),
        restart=_same(RestartView, spec.restart),
        depends_on=[_same(DependencyView, dependency) for dependency in spec.depends_on],
        min_available=spec.min_available,
        reschedule_after=spec.reschedule_after,
        node_affinity=spec.node_affinity,
        service_affinity=spec.service_affinity,
        priority_class=spec.priority_class,
        stop_signal=spec.stop_signal,
        stop_grace_period=spec.stop_grace_period,
        drain_timeout=spec.drain_timeout,
        keep_lost=spec.keep_lost,
        rebalance=spec.rebalance,
        autoscale=_autoscale_view(app),
        tolerations=spec.tolerations,
        spread=spec.spread,
        update_strategy=spec.update_strategy,
        deployment_id=app.rollout or None,
        deployment_message=None if deployment is None else deployment_message(state, app, deployment, now_s),
        revision=app.revision,
        generation=app.generation,
    )
