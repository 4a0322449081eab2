"""Containers: the API's name for tasks."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app_spec import AppSpec, Port
from consensus.model.image import known_digest
from consensus.model.node import NodeStatus
from consensus.model.quantity import Memory
from consensus.model.task import Task, TaskState
from consensus.model.workload import Resources
from consensus.state import State
from consensus.timestamp import iso_utc


class PortView(Struct, frozen=True, kw_only=True):
    """`node_port`: where the container's port is reached at its `ip_address`, once it runs."""

    container_port: int
    host_port: int | None
    protocol: str
    node_port: int | None = None


class MountView(Struct, frozen=True):
    name: str
    mount_path: str
    read_only: bool


class ResourcesView(Struct, frozen=True):
    cpu: float
    memory: Memory
    cpu_limit: float | None
    memory_limit: Memory | None


class HealthView(Struct, frozen=True):
    status: str
    last_check: str | None = None


class ContainerItem(Struct, frozen=True, kw_only=True):
    """`revision`: of its app's history, which it was made of; null while that is not in there yet, and of a job."""

    id: str
    name: str
    app: str
    namespace: str
    image: str
    image_digest: str | None
    revision: int | None
    status: str
    message: str
    node_id: str | None
    engine_id: str | None
    created_at: str
    started_at: str | None
    ip_address: str | None
    ip6_address: str | None
    ports: list[PortView]
    health: HealthView
    restart_count: int
    exit_code: int | None


class ContainerDetail(ContainerItem, frozen=True, kw_only=True):
    environment: dict[str, str]
    labels: dict[str, str]
    volumes: list[MountView]
    resources: ResourcesView


UNKNOWN = "unknown"


def out_of_sight(state: State, task: Task) -> bool:
    """Whether its node is lost, so that nobody knows what has become of it."""
    node = state.nodes.get(task.node_id or "")
    return node is not None and node.status is NodeStatus.LOST and not task.status.state.terminal


def status_word(state: State, task: Task) -> str:
    """A task that is to be removed is stopping as long as it runs."""
    if out_of_sight(state, task):
        return UNKNOWN
    reported = task.status.state
    if not task.wanted and not reported.terminal:
        return TaskState.STOPPING.word
    return reported.word


def health_word(state: State, task: Task) -> str:
    """By all checks together."""
    return UNKNOWN if out_of_sight(state, task) else task.health.value


def why(state: State, task: Task) -> str:
    """Why it is in its state, where there is something to say: the node's words, or the scheduler's."""
    if out_of_sight(state, task):
        return f"node {task.node_id} is lost"
    return task.status.message or task.placement_message


def port_views(ports: list[Port], task: Task | None = None) -> list[PortView]:
    port_map = task.status.port_map if task is not None else {}
    return [
        PortView(
            container_port=port.container_port,
            host_port=port.host_port,
            protocol=port.protocol,
            node_port=port_map.get(port.container_port),
        )
        for port in ports
    ]


def resources_view(resources: Resources) -> ResourcesView:
    return ResourcesView(resources.cpu, resources.memory, resources.cpu_limit, resources.memory_limit)


def mount_views(spec: AppSpec) -> list[MountView]:
    return [MountView(mount.name, mount.mount_path, mount.read_only) for mount in spec.volumes]


def time_or_none(time_s: float | None) -> str | None:
    return None if time_s is None else iso_utc(time_s)


def revision_number(state: State, task: Task) -> int | None:
    app = state.apps.get(task.app)
    entries = () if app is None else app.history
    return next((entry.number for entry in reversed(entries) if entry.revision == task.revision), None)


def container_item(state: State, task: Task) -> ContainerItem:
    spec, status = state.spec_of(task), task.status
    return ContainerItem(
        id=task.id,
        name=task.name,
        app=task.app,
        namespace=spec.namespace,
        image=spec.image,
        image_digest=known_digest(spec.image, spec.image_digest),
        revision=revision_number(state, task),
        status=status_word(state, task),
        message=why(state, task),
        node_id=task.node_id,
        engine_id=status.engine_id,
        created_at=iso_utc(task.created_at_s),
        started_at=time_or_none(status.started_at_s),
        ip_address=status.ip_address,
        ip6_address=status.ip6_address,
        ports=port_views(spec.ports, task),
        health=HealthView(health_word(state, task)),
        restart_count=status.restart_count,
        exit_code=status.exit_code,
    )


def container_detail(state: State, task: Task, *, last_check_s: float | None) -> ContainerDetail:
    spec, item = state.spec_of(task), container_item(state, task)
    same = {name: getattr(item, name) for name in ContainerItem.__struct_fields__ if name != "health"}
    return ContainerDetail(
        **same,
        health=HealthView(item.health.status, time_or_none(last_check_s)),
        environment=spec.env,
        labels=spec.labels,
        volumes=mount_views(spec),
        resources=resources_view(spec.resources),
    )


def in_order(state: State) -> list[Task]:
    """All tasks in the order in which lists show them: by app, slot and age."""
    return sorted(state.tasks.values(), key=lambda task: (task.app, task.slot, task.created_at_s, task.id))
