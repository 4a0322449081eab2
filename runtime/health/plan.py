"""From a check of the spec and a running container to what is probed, and how its results are judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.health_check import HealthCheck, HttpProbe, status_ranges
from consensus.model.quantity import duration_s
from consensus.model.service import ServiceCheck
from runtime.engine.base import ContainerState


class CommandTarget(Struct, frozen=True):
    """Run in the container by its shell."""

    engine_id: str
    command: str


class TcpTarget(Struct, frozen=True):
    """A connection to the container; `address` None: it has none, and so nothing can be reached."""

    address: str | None
    port: int | None


class HttpTarget(Struct, frozen=True, kw_only=True):
    """A GET to the container. `statuses`: the first and last of each range that is a pass."""

    address: str | None
    port: int | None
    scheme: str
    path: str
    statuses: tuple[tuple[int, int], ...]
    headers: Mapping[str, str] = {}


Target = CommandTarget | TcpTarget | HttpTarget


class Rules(Struct, frozen=True, kw_only=True):
    """How results are judged. The first pass of a run is enough; `healthy_threshold` passes undo an unhealthy one."""

    interval_s: float
    timeout_s: float
    healthy_threshold: int = 1
    unhealthy_threshold: int = 3
    start_period_s: float = 0.0


class ProbePlan(Struct, frozen=True):
    target: Target
    rules: Rules


def plan_of_check(check: HealthCheck, spec: AppSpec, container: ContainerState) -> ProbePlan:
    rules = Rules(
        interval_s=check.interval_s,
        timeout_s=check.timeout_s,
        unhealthy_threshold=check.retries,
        start_period_s=check.start_period_s,
    )
    if check.http is not None:
        return ProbePlan(_http(check.http, spec, container), rules)
    if check.tcp is not None:
        return ProbePlan(_tcp(check.tcp.port, spec, container), rules)
    return ProbePlan(CommandTarget(container.engine_id, check.command or ""), rules)


def plan_of_service(check: ServiceCheck, spec: AppSpec, container: ContainerState) -> ProbePlan:
    rules = Rules(
        interval_s=duration_s(check.interval),
        timeout_s=duration_s(check.timeout),
        healthy_threshold=check.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold,
    )
    target: Target
    match check.protocol:
        case "command":
            target = CommandTarget(container.engine_id, check.command or "")
        case "tcp":
            target = _tcp(check.port, spec, container)
        case scheme:
            probe = HttpProbe(path=check.path, port=check.port, scheme="https" if scheme == "https" else "http")
            target = _http(probe, spec, container)
    return ProbePlan(target, rules)


def _http(probe: HttpProbe, spec: AppSpec, container: ContainerState) -> HttpTarget:
    where = _tcp(probe.port, spec, container)
    return HttpTarget(
        address=where.address,
        port=where.port,
        scheme=probe.scheme,
        path=probe.path,
        statuses=tuple(status_ranges(probe.status)),
        headers=probe.headers,
    )


def _tcp(container_port: int | None, spec: AppSpec, container: ContainerState) -> TcpTarget:
    port = container_port or spec.first_tcp_port
    return TcpTarget(container.address, None if port is None else container.port_map.get(port, port))
