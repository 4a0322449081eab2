"""Health: of the whole, of a container, of a node. The overview is open to all, for load balancers and probes."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from api.answer import Answer
from api.call import Call
from api.deps import ClusterView, ContainerGone, HealthReport
from api.route import Access, Route, Subject
from api.routes.containers import find as find_container
from api.routes.nodes import find as find_node
from api.views.container import out_of_sight, time_or_none
from consensus.apply.node import health_word
from consensus.model.alert import Severity
from consensus.model.node import NodeStatus
from consensus.model.task import Health, Task, TaskState
from consensus.state import State
from consensus.timestamp import iso_utc


class Component(Struct, frozen=True):
    status: str
    total: int
    healthy: int
    unhealthy: int


class Components(Struct, frozen=True):
    nodes: Component
    containers: Component
    services: Component


class AlertCounts(Struct, frozen=True):
    critical: int
    warning: int
    info: int


class HealthAnswer(Struct, frozen=True, kw_only=True):
    """`status`: degraded while any component is not healthy, unhealthy without a leader or where this node's replica
    differs from the others."""

    status: str
    components: Components
    alerts: AlertCounts
    node_id: str
    leader: str | None


class HistoryEntry(Struct, frozen=True):
    timestamp: str
    status: str
    message: str | None


class ContainerHealthAnswer(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    last_check: str | None
    consecutive_failures: int
    restart_count: int
    health_history: list[HistoryEntry]


class NodeHistoryEntry(Struct, frozen=True, kw_only=True):
    timestamp: str
    cpu_usage: float
    memory_usage: float
    disk_usage: float
    network_status: str
    message: str | None


class NodeHealthAnswer(Struct, frozen=True, kw_only=True):
    """Usages are percent of the whole node; null where the node has not told."""

    id: str
    status: str
    last_seen: str | None
    cpu_usage: float | None
    memory_usage: float | None
    disk_usage: float | None
    network_status: str
    container_count: int
    health_history: list[NodeHistoryEntry]


def _component(total: int, healthy: int, unhealthy: int) -> Component:
    if not unhealthy:
        word = "healthy"
    elif healthy:
        word = "degraded"
    else:
        word = "unhealthy"
    return Component(word, total, healthy, unhealthy)


def _unhealthy(task: Task) -> bool:
    """Not what is still on its way: a container that is being pulled or started is neither."""
    return _ended_badly(task) or task.health is Health.UNHEALTHY


def _ended_badly(task: Task) -> bool:
    """Not what has done its work, and by its restart policy rests."""
    state = task.status.state
    return state.terminal and not (state is TaskState.COMPLETED and task.status.final)


def _components(state: State) -> Components:
    nodes = list(state.nodes.values())
    ready = sum(node.status is NodeStatus.READY for node in nodes)
    wanted = [task for task in state.tasks.values() if task.wanted and not task.ended]
    seen = [task for task in wanted if not out_of_sight(state, task)]
    sick = sum(_unhealthy(task) for task in seen) + len(wanted) - len(seen)
    serving = {task.app for task in seen if task.serving}
    expected: dict[str, bool] = {}
    for app in state.apps.values():
        if app.spec.replicas:
            expected[app.service_name] = expected.get(app.service_name, False) or app.name in serving
    failing = {
        app.service_name
        for app in state.apps.values()
        if any(_unhealthy(task) for task in state.tasks_of_app(app.name) if task.wanted)
    }
    answered = sum(name not in expected or expected[name] for name in state.services)
    silent = sum(not is_serving and name in failing for name, is_serving in expected.items())
    return Components(
        nodes=_component(len(nodes), ready, len(nodes) - ready),
        containers=_component(len(wanted), sum(task.serving for task in seen), sick),
        services=_component(len(state.services), answered, silent),
    )


def health_answer(state: State, cluster: ClusterView) -> HealthAnswer:
    components = _components(state)
    words = {components.nodes.status, components.containers.status, components.services.status}
    severities = Counter(alert.severity for alert in state.alerts.values())
    status = "healthy" if words == {"healthy"} else "degraded"
    return HealthAnswer(
        status="unhealthy" if cluster.leader_id is None or cluster.unfit else status,
        components=components,
        alerts=AlertCounts(severities[Severity.CRITICAL], severities[Severity.WARNING], severities[Severity.INFO]),
        node_id=cluster.node_id,
        leader=cluster.leader_id,
    )


async def get_health(call: Call) -> Answer:
    return Answer(health_answer(call.state, call.deps.cluster))


async def get_container_health(call: Call) -> Answer:
    task = find_container(call)
    report = HealthReport()
    if task.node_id is not None and task.status.state >= TaskState.STARTING:
        try:
            report = await call.deps.containers.health(task)
        except ContainerGone:
            report = HealthReport()
    return Answer(
        ContainerHealthAnswer(
            id=task.id,
            status=task.health.value,
            last_check=time_or_none(report.last_check_s),
            consecutive_failures=report.consecutive_failures,
            restart_count=task.status.restart_count,
            health_history=[
                HistoryEntry(iso_utc(result.timestamp_s), result.status, result.message) for result in report.history
            ],
        )
    )


async def get_node_health(call: Call) -> Answer:
    node = find_node(call)
    member = call.deps.cluster.members().get(node.id)
    vitals = member.vitals if member is not None else None
    alive = member is not None and member.state == "alive"
    # A node that is away cannot tell its history; that it is away is the news.
    samples = await call.deps.nodes.history(node.id) if alive else []
    last_seen_s = member.last_seen_s if member is not None else None
    return Answer(
        NodeHealthAnswer(
            id=node.id,
            status=health_word(node.status),
            last_seen=time_or_none(last_seen_s if last_seen_s is not None else node.status_since_s),
            cpu_usage=vitals.cpu_percent if vitals else None,
            memory_usage=_percent(vitals.memory_used_bytes, vitals.memory_total_bytes) if vitals else None,
            disk_usage=_percent(vitals.disk_used_bytes, vitals.disk_total_bytes) if vitals else None,
            network_status="connected" if alive and (vitals is None or vitals.network_ok) else "disconnected",
            container_count=vitals.container_count if vitals else len(list(call.state.tasks_on_node(node.id))),
            health_history=[
                NodeHistoryEntry(
                    timestamp=iso_utc(sample.timestamp_s),
                    cpu_usage=sample.cpu_percent,
                    memory_usage=sample.memory_percent,
                    disk_usage=sample.disk_percent,
                    network_status="connected" if sample.network_ok else "disconnected",
                    message=sample.message,
                )
                for sample in samples
            ],
        )
    )


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


ROUTES = (
    Route(method="GET", path="/health", access=Access.PUBLIC, handler=get_health, answer=HealthAnswer),
    Route(
        method="GET",
        path="/health/container/{container_id}",
        access=Access.VIEW,
        permission="containers:read",
        handler=get_container_health,
        owner=Subject("tasks", "container_id"),
        answer=ContainerHealthAnswer,
    ),
    Route(
        method="GET",
        path="/health/node/{node_id}",
        access=Access.VIEW,
        permission="nodes:read",
        handler=get_node_health,
        answer=NodeHealthAnswer,
    ),
)
