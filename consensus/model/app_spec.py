"""The spec of an app: replicas that are kept running, changed by rollouts, and reached by a service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from consensus.model.autoscale import Autoscale
from consensus.model.dependency import Dependency, dependency_problems
from consensus.model.health_check import HealthCheck
from consensus.model.node import HostPort
from consensus.model.quantity import Duration, duration_problems, duration_s
from consensus.model.restart import RestartPolicy
from consensus.model.strategy import ONE_TEST, ABTesting, Amount, Strategy, amount
from consensus.model.workload import NAME_PATTERN, PortNumber, WorkloadSpec, unreadable

MAX_REPLICAS = 100_000
DRAIN_TIMEOUT_S = 1.0
"""For apps with ports: longer than a commit needs to reach every node."""


class Port(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A port of the container; with `host_port` it is published on every node and balanced (design.md §6)."""

    container_port: PortNumber
    host_port: PortNumber | None = None
    protocol: str = "tcp"


class AppSpec(WorkloadSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /deploy``, stored and returned as it was given.

    Attributes:
        mode: global is one replica on each node that fits; `replicas` is how many those are.
        drain_timeout: how long a replica runs on after it left the endpoints.
        depends_on: which apps must be there before its first replica is placed.
        min_available: so many replicas (a number, or percents) are enough while a node is drained, where there is no
            place for a successor, and for those that depend on it. By default all of them; of what must not run
            twice, by default none has to be left by a drain.
        reschedule_after: for how long the replicas of a lost node are awaited before they start elsewhere.
        rebalance: whether its replicas may be moved to nodes that have less to do.
        autoscale: how many replicas it has follows their use of CPU; `replicas` is where that begins.
    """

    mode: Literal["replicated", "global"] = "replicated"
    service: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=253)] | None = None
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] = 1
    ports: list[Port] = field(default_factory=list)
    health_check: HealthCheck | None = None
    restart: RestartPolicy = RestartPolicy()
    drain_timeout: Duration | None = None
    depends_on: list[Dependency] = field(default_factory=list)
    min_available: Amount | None = None
    reschedule_after: Duration | None = None
    update_strategy: Strategy | None = None
    rebalance: bool = True
    autoscale: Autoscale | None = None

    @property
    def is_global(self) -> bool:
        return self.mode == "global"

    def sized(self, replicas: int) -> Self:
        """With as many replicas as are allowed of `replicas`."""
        return replace(self, replicas=replicas if self.autoscale is None else self.autoscale.within(replicas))

    @property
    def drain_timeout_s(self) -> float:
        """How long a replica runs on after it left the endpoints: requests under way end, every node has heard."""
        if self.drain_timeout is None:
            return DRAIN_TIMEOUT_S if self.ports else 0.0
        return duration_s(self.drain_timeout)

    @property
    def least_available(self) -> int:
        """How many replicas are enough for a while."""
        if self.min_available is None:
            return self.replicas
        return min(self.replicas, amount(self.min_available, self.replicas, up=True))

    @property
    def reschedule_after_s(self) -> float:
        return 0.0 if self.reschedule_after is None else duration_s(self.reschedule_after)

    @property
    def published_ports(self) -> list[tuple[int, str]]:
        """The (host port, protocol) pairs that it publishes."""
        return [(port.host_port, port.protocol) for port in self.ports if port.host_port is not None]

    @property
    def host_ports(self) -> frozenset[HostPort]:
        """What it publishes on every node."""
        return frozenset(HostPort(port, protocol) for port, protocol in self.published_ports)

    @property
    def first_tcp_port(self) -> int | None:
        """The container port that is probed where a check names none."""
        return next((port.container_port for port in self.ports if port.protocol == "tcp"), None)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if self.drain_timeout is not None:
            yield from unreadable("drain_timeout", duration_s, self.drain_timeout)
        if self.update_strategy is not None:
            yield from ((f"update_strategy.{name}", text) for name, text in self.update_strategy.problems())
            if isinstance(self.update_strategy, ABTesting):
                yield "update_strategy", f"expected another than ab-testing: {ONE_TEST}"
        yield from duration_problems(self, ("reschedule_after",))
        if self.is_global:
            yield from self._not_global()
        if self.autoscale is not None:
            yield from ((f"autoscale.{name}", text) for name, text in self.autoscale.problems())
        yield from dependency_problems(self.name, self.depends_on)
        if self.min_available is not None:
            yield from unreadable("min_available", lambda given: amount(given, 1, up=True), self.min_available)
        yield from ((f"restart.{name}", text) for name, text in self.restart.problems())
        if self.health_check is not None:
            has_tcp_port = self.first_tcp_port is not None
            for name, text in self.health_check.problems(has_tcp_port=has_tcp_port):
                yield f"health_check.{name}".rstrip("."), text
        yield from self._port_problems()

    def _not_global(self) -> Iterator[tuple[str, str]]:
        told = "expected none with mode global: it has one replica on each node that fits"
        if self.replicas != 1:
            yield "replicas", told
        if self.autoscale is not None:
            yield "autoscale", told

    def _port_problems(self) -> Iterator[tuple[str, str]]:
        published: set[tuple[int, str]] = set()
        for i, port in enumerate(self.ports):
            if port.protocol not in ("tcp", "udp"):
                yield f"ports[{i}].protocol", f"expected tcp or udp, got {port.protocol!r}"
            if port.host_port is not None:
                if (port.host_port, port.protocol) in published:
                    yield f"ports[{i}].host_port", f"{port.host_port} is published twice"
                published.add((port.host_port, port.protocol))
