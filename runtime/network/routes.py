"""What is published and balanced, and by which endpoints it is served. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from consensus.model.quantity import duration_s
from consensus.model.service import GivenEndpoint, Service, ServicePort, Strategy
from consensus.model.task import Task
from consensus.state import State
from runtime.network.weights import weights_of


class PublishedPort(Struct, frozen=True, order=True):
    """A port of every node; `protocol` is tcp or udp."""

    host_port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.host_port}/{self.protocol}"


class ServiceAddress(Struct, frozen=True, order=True):
    """A port of a service's virtual address."""

    virtual_ip: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.virtual_ip}:{self.port}/{self.protocol}"


Front = PublishedPort | ServiceAddress
"""What clients connect to."""


class Backend(Struct, frozen=True):
    """A serving replica, or an address that a service was given (`node_id` is empty: every node reaches it itself).

    `address` and `port` of a replica are good on its own node; where the overlay is on, on every node.
    """

    task_id: str
    node_id: str
    container_port: int
    address: str
    port: int


class Policy(Struct, frozen=True, kw_only=True):
    """How a front is balanced. `sticky_s`: how long a client is remembered; 0: it is not. `checked`: the service has
    a health check."""

    strategy: str = Strategy.ROUND_ROBIN
    sticky_s: float = 0.0
    prefer_local: bool = False
    proxy_protocol: bool = False
    unhealthy_threshold: int = 3
    checked: bool = False


class Route(Struct, frozen=True):
    """Where a front leads. `weights` stand beside `backends`; with weight 0 nothing is sent there."""

    service: str
    policy: Policy
    backends: tuple[Backend, ...]
    weights: tuple[int, ...]


def backend_of(task: Task, container_port: int) -> Backend | None:
    """Where `task` is reached on its node; None while it has no address."""
    status = task.status
    if task.node_id is None or status.ip_address is None:
        return None
    port = status.port_map.get(container_port, container_port)
    return Backend(task.id, task.node_id, container_port, status.ip_address, port)


def policy_of(service: Service) -> Policy:
    return Policy(
        strategy=service.load_balancing_strategy,
        sticky_s=duration_s(service.session_timeout) if service.session_affinity == "client-ip" else 0.0,
        prefer_local=service.prefer == "local",
        proxy_protocol=service.proxy_protocol == "v2",
        unhealthy_threshold=service.unhealthy_threshold,
        checked=service.health_check is not None,
    )


class _Fronts:
    """The fronts of one service in the making."""

    def __init__(self, state: State, service: Service) -> None:
        self._state = state
        self._service = service
        self._policy = policy_of(service)
        self.found: dict[Front, Route] = {}

    def add(self, front: Front, members: Iterable[tuple[Task, int]], given: Iterable[Backend] = ()) -> None:
        """`members` are replicas, each with its container port."""
        reached = [(task, backend) for task, port in members if (backend := backend_of(task, port)) is not None]
        backends = (*(backend for _, backend in reached), *given)
        tasks = [task for task, _ in reached]
        weights = weights_of(self._state, self._service, tasks, len(backends) - len(tasks))
        self.found[front] = Route(self._service.name, self._policy, backends, weights)


def service_routes(state: State, service: Service) -> dict[Front, Route]:
    """Every front of `service`, also those that nothing serves now.

    A port that an app publishes leads to this app's replicas, each by its own revision's spec: an outdated one may
    have another container port for it. The virtual address, and ports that the service publishes itself, lead to
    the replicas of all of its apps and to the endpoints that it was given.
    """
    fronts = _Fronts(state, service)
    apps = sorted(state.apps_by_service.get(service.name, ()))
    if not service.ports and not any(state.apps[app].spec.ports for app in apps):
        # Its replicas may be many, and each of their reports comes by here.
        return {}
    serving = {app: [task for task in state.tasks_of_app(app) if state.takes_traffic(task)] for app in apps}
    everyone = [task for app in apps for task in serving[app]]
    for app in apps:
        for port in state.apps[app].spec.ports:
            if port.host_port is not None:
                published = PublishedPort(port.host_port, port.protocol)
                fronts.add(published, _publishing(state, serving[app], published))
            if service.virtual_ip:
                address = ServiceAddress(service.virtual_ip, port.container_port, port.protocol)
                fronts.add(address, _having(state, everyone, port.container_port, port.protocol))
    for own in service.ports:
        members = [(task, own.target) for task in everyone]
        given = [_given(endpoint, own) for endpoint in service.endpoints]
        if own.host_port is not None:
            fronts.add(PublishedPort(own.host_port, own.protocol), members, given)
        if service.virtual_ip:
            fronts.add(ServiceAddress(service.virtual_ip, own.port, own.protocol), members, given)
    return fronts.found


def _publishing(state: State, tasks: Iterable[Task], front: PublishedPort) -> Iterator[tuple[Task, int]]:
    for task in tasks:
        for port in state.spec_of(task).ports:
            if (port.host_port, port.protocol) == (front.host_port, front.protocol):
                yield task, port.container_port


def _having(state: State, tasks: Iterable[Task], container_port: int, protocol: str) -> Iterator[tuple[Task, int]]:
    for task in tasks:
        if any((p.container_port, p.protocol) == (container_port, protocol) for p in state.spec_of(task).ports):
            yield task, container_port


def _given(endpoint: GivenEndpoint, port: ServicePort) -> Backend:
    number = endpoint.port or port.target
    return Backend(f"{endpoint.ip_address}:{number}", "", number, endpoint.ip_address, number)
