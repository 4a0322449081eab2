"""The spec of an app: replicas that are kept running, changed by rollouts, and reached by a service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, field

from consensus.model.quantity import Duration, duration_s
from consensus.model.strategy import Strategy
from consensus.model.workload import NAME_PATTERN, PortNumber, WorkloadSpec, unreadable

MAX_REPLICAS = 100_000
DRAIN_TIMEOUT_S = 1.0
"""For apps with ports: longer than a commit needs to reach every node."""


class Port(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A port of the container; with `host_port` it is published on every node and balanced (design.md §6)."""

    container_port: PortNumber
    host_port: PortNumber | None = None
    protocol: str = "tcp"


class HealthCheck(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A command run in the container: exit code 0 is a pass (Docker's HEALTHCHECK)."""

    command: Annotated[str, Meta(min_length=1)]
    interval: Duration = "30s"
    timeout: Duration = "5s"
    retries: Annotated[int, Meta(ge=1, le=1000)] = 3
    start_period: Duration = "0s"

    @property
    def interval_s(self) -> float:
        return duration_s(self.interval)

    @property
    def timeout_s(self) -> float:
        return duration_s(self.timeout)

    @property
    def start_period_s(self) -> float:
        return duration_s(self.start_period)


class AppSpec(WorkloadSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /deploy``, stored and returned as it was given."""

    service: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=253)] | None = None
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] = 1
    ports: list[Port] = field(default_factory=list)
    health_check: HealthCheck | None = None
    drain_timeout: Duration | None = None
    update_strategy: Strategy | None = None

    @property
    def drain_timeout_s(self) -> float:
        """How long a replica runs on after it left the endpoints: requests under way end, every node has heard."""
        if self.drain_timeout is None:
            return DRAIN_TIMEOUT_S if self.ports else 0.0
        return duration_s(self.drain_timeout)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if self.drain_timeout is not None:
            yield from unreadable("drain_timeout", duration_s, self.drain_timeout)
        if self.update_strategy is not None:
            yield from ((f"update_strategy.{name}", text) for name, text in self.update_strategy.problems())
        if self.health_check is not None:
            for name in ("interval", "timeout", "start_period"):
                yield from unreadable(f"health_check.{name}", duration_s, getattr(self.health_check, name))
        published: set[tuple[int, str]] = set()
        for i, port in enumerate(self.ports):
            if port.protocol not in ("tcp", "udp"):
                yield f"ports[{i}].protocol", f"expected tcp or udp, got {port.protocol!r}"
            if port.host_port is not None:
                if (port.host_port, port.protocol) in published:
                    yield f"ports[{i}].host_port", f"{port.host_port} is published twice"
                published.add((port.host_port, port.protocol))
