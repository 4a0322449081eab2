"""Services: a name, and the replicas that answer under it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from consensus.model.health_check import HealthCheck
from consensus.model.quantity import Duration
from consensus.model.service import Protocol, Service, ServiceCheck, ServicePort
from consensus.model.task import Health, Task, TaskState
from consensus.state import State
from consensus.timestamp import iso_utc


class Endpoint(Struct, frozen=True):
    """Where a replica is reached; one for each of its ports (`port` is null where it has none).

    An address that the service was given has no container.
    """

    container_id: str | None
    ip_address: str | None
    port: int | None


class EndpointDetail(Struct, frozen=True):
    container_id: str | None
    ip_address: str | None
    port: int | None
    node_id: str | None
    health: str


class ServiceHealthCheck(Struct, frozen=True, kw_only=True):
    """What probes the replicas. A `command` is run in the container; `path` is for http and https."""

    protocol: str
    path: str | None
    port: int | None
    command: str | None
    interval: Duration
    timeout: Duration
    healthy_threshold: int
    unhealthy_threshold: int


class _Service(Struct, frozen=True, kw_only=True):
    """What the list and the details of a service both say."""

    name: str
    namespace: str
    domain: str
    virtual_ip: str | None
    apps: list[str]
    load_balancing_strategy: str
    created_at: str


class ServiceItem(_Service, frozen=True, kw_only=True):
    endpoints: list[Endpoint]


class ServiceDetail(_Service, frozen=True, kw_only=True):
    """`ports` are those of the virtual address, also the apps' container ports."""

    ports: list[ServicePort]
    endpoints: list[EndpointDetail]
    session_affinity: str
    session_timeout: Duration
    prefer: str
    proxy_protocol: str
    weights: dict[str, int]
    health_check: ServiceHealthCheck | None


def _places(state: State, task: Task) -> Iterator[tuple[str | None, int | None]]:
    ports = state.spec_of(task).ports
    for port in ports:
        yield task.status.ip_address, task.status.port_map.get(port.container_port, port.container_port)
    if not ports:
        yield task.status.ip_address, None


def _apps(state: State, service: Service) -> list[str]:
    return sorted(state.apps_by_service.get(service.name, ()))


def _given(service: Service) -> Iterator[tuple[str, int | None]]:
    for endpoint in service.endpoints:
        for port in service.ports:
            yield endpoint.ip_address, endpoint.port or port.target
        if not service.ports:
            yield endpoint.ip_address, endpoint.port


def _ports(state: State, service: Service, apps: list[str]) -> list[ServicePort]:
    found = {(port.port, port.protocol): port for port in service.ports}
    for app in apps:
        for port in state.apps[app].spec.ports:
            protocol: Protocol = "udp" if port.protocol == "udp" else "tcp"
            found.setdefault((port.container_port, protocol), ServicePort(port.container_port, protocol=protocol))
    return [found[key] for key in sorted(found)]


def service_item(state: State, service: Service) -> ServiceItem:
    """Its endpoints are the replicas that requests are sent to now."""
    apps = _apps(state, service)
    return ServiceItem(
        name=service.name,
        namespace=service.namespace,
        domain=service.name,
        virtual_ip=service.virtual_ip or None,
        apps=apps,
        endpoints=[
            Endpoint(task.id, address, port)
            for app in apps
            for task in state.tasks_of_app(app)
            if state.takes_traffic(task)
            for address, port in _places(state, task)
        ]
        + [Endpoint(None, address, port) for address, port in _given(service)],
        load_balancing_strategy=service.load_balancing_strategy,
        created_at=iso_utc(service.created_at_s),
    )


def service_detail(state: State, service: Service) -> ServiceDetail:
    """Its endpoints are all replicas that run, each with its health."""
    apps = _apps(state, service)
    checks = [check for app in apps if (check := state.apps[app].spec.health_check) is not None]
    return ServiceDetail(
        name=service.name,
        namespace=service.namespace,
        domain=service.name,
        virtual_ip=service.virtual_ip or None,
        ports=_ports(state, service, apps),
        apps=apps,
        endpoints=[
            EndpointDetail(task.id, address, port, task.node_id, task.health.value)
            for app in apps
            for task in state.tasks_of_app(app)
            if task.wanted and task.status.state is TaskState.RUNNING
            for address, port in _places(state, task)
        ]
        + [EndpointDetail(None, address, port, None, Health.UNKNOWN.value) for address, port in _given(service)],
        load_balancing_strategy=service.load_balancing_strategy,
        session_affinity=service.session_affinity,
        session_timeout=service.session_timeout,
        prefer=service.prefer,
        proxy_protocol=service.proxy_protocol,
        weights=service.weights,
        created_at=iso_utc(service.created_at_s),
        health_check=_own_check(service.health_check)
        if service.health_check is not None
        else (_health_check(checks[0]) if checks else None),
    )


def _own_check(check: ServiceCheck) -> ServiceHealthCheck:
    return ServiceHealthCheck(
        protocol=check.protocol,
        path=check.path if check.protocol in ("http", "https") else None,
        port=check.port,
        command=check.command,
        interval=check.interval,
        timeout=check.timeout,
        healthy_threshold=check.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold,
    )


def _health_check(check: HealthCheck) -> ServiceHealthCheck:
    http, probe = check.http, check.http or check.tcp
    return ServiceHealthCheck(
        protocol=http.scheme if http is not None else "tcp" if check.tcp is not None else "command",
        path=None if http is None else http.path,
        port=None if probe is None else probe.port,
        command=check.command,
        interval=check.interval,
        timeout=check.timeout,
        healthy_threshold=1,
        unhealthy_threshold=check.retries,
    )
