"""Applications: what a user asks to run."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from consensus.model.node import Taint
from consensus.model.quantity import Duration, Memory, duration_s, memory_bytes
from consensus.model.strategy import Strategy

NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=63)]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
MAX_REPLICAS = 100_000
DRAIN_TIMEOUT_S = 1.0
"""For apps with ports: longer than a commit needs to reach every node."""


class Resources(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one replica asks for (placement counts it) and the most it may take (the engine enforces it)."""

    cpu: Annotated[float, Meta(ge=0, le=1024)] = 0.0
    memory: Memory = 0
    cpu_limit: Annotated[float, Meta(gt=0, le=1024)] | None = None
    memory_limit: Memory | None = None

    @property
    def memory_bytes(self) -> int:
        return memory_bytes(self.memory)

    @property
    def memory_limit_bytes(self) -> int | None:
        return None if self.memory_limit is None else memory_bytes(self.memory_limit)


class Port(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A port of the container; with `host_port` it is published on every node and balanced (design.md §6)."""

    container_port: PortNumber
    host_port: PortNumber | None = None
    protocol: str = "tcp"


class VolumeMount(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    mount_path: Annotated[str, Meta(pattern=r"^/", max_length=4096)]
    read_only: bool = False


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


class Toleration(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A taint that does not keep the app away. Without `key` every taint; without `effect` each of its effects."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    def tolerates(self, taint: Taint) -> bool:
        if self.effect is not None and self.effect != taint.effect:
            return False
        if not self.key:
            return self.operator == "Exists"
        return self.key == taint.key and (self.operator == "Exists" or self.value == taint.value)


def intolerable(taints: Iterable[Taint], tolerations: Iterable[Toleration], effects: Container[str]) -> bool:
    """Whether one of `taints` with one of `effects` is not tolerated."""
    return any(
        taint.effect in effects and not any(toleration.tolerates(taint) for toleration in tolerations)
        for taint in taints
    )


class AppSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /deploy``, stored and returned as it was given."""

    name: Name
    image: Annotated[str, Meta(min_length=1, max_length=512)]
    service: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=253)] | None = None
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] = 1
    command: list[str] | None = None
    args: list[str] | None = None
    resources: Resources = Resources()
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    volumes: list[VolumeMount] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    health_check: HealthCheck | None = None
    node_affinity: str | None = None
    tolerations: list[Toleration] = field(default_factory=list)
    spread: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    service_affinity: str | None = None
    priority_class: str | None = None
    stop_signal: str | None = None
    stop_grace_period: Duration = "10s"
    drain_timeout: Duration | None = None
    keep_lost: bool = False
    update_strategy: Strategy | None = None

    @property
    def stop_grace_period_s(self) -> float:
        return duration_s(self.stop_grace_period)

    @property
    def drain_timeout_s(self) -> float:
        """How long a replica runs on after it left the endpoints: requests under way end, every node has heard."""
        if self.drain_timeout is None:
            return DRAIN_TIMEOUT_S if self.ports else 0.0
        return duration_s(self.drain_timeout)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field path and what was expected there."""
        yield from self._quantity_problems()
        limit, request = self.resources.cpu_limit, self.resources.cpu
        if limit is not None and limit < request:
            yield "resources.cpu_limit", f"expected at least resources.cpu ({request}), got {limit}"
        published: set[tuple[int, str]] = set()
        for i, port in enumerate(self.ports):
            if port.protocol not in ("tcp", "udp"):
                yield f"ports[{i}].protocol", f"expected tcp or udp, got {port.protocol!r}"
            if port.host_port is not None:
                if (port.host_port, port.protocol) in published:
                    yield f"ports[{i}].host_port", f"{port.host_port} is published twice"
                published.add((port.host_port, port.protocol))
        paths: set[str] = set()
        for i, volume in enumerate(self.volumes):
            if volume.mount_path in paths:
                yield f"volumes[{i}].mount_path", f"{volume.mount_path} is mounted twice"
            paths.add(volume.mount_path)
        for key in self.env:
            if not key or "=" in key or "\0" in key:
                yield "env", f"expected variable names without '=', got {key!r}"

    def _quantity_problems(self) -> Iterator[tuple[str, str]]:
        for name in ("memory", "memory_limit"):
            value = getattr(self.resources, name)
            if value is not None:
                yield from _problem(f"resources.{name}", memory_bytes, value)
        yield from _problem("stop_grace_period", duration_s, self.stop_grace_period)
        if self.drain_timeout is not None:
            yield from _problem("drain_timeout", duration_s, self.drain_timeout)
        if self.update_strategy is not None:
            yield from ((f"update_strategy.{name}", text) for name, text in self.update_strategy.problems())
        if self.health_check is not None:
            for name in ("interval", "timeout", "start_period"):
                yield from _problem(f"health_check.{name}", duration_s, getattr(self.health_check, name))


def _problem(path: str, parse: object, value: object) -> Iterator[tuple[str, str]]:
    try:
        parse(value)  # type: ignore[operator]
    except ValueError as error:
        yield path, str(error)


class Revision(Struct, frozen=True):
    """One entry of an app's history. `number` counts from 1; `revision` finds the spec; `reason` is one line."""

    number: int
    revision: int
    created_at_s: float
    reason: str = ""


class Standby(Struct, frozen=True):
    """A second, complete set of replicas that gets no traffic: the one to come, or (`until_s`) the one before."""

    revision: int
    replicas: int
    until_s: float | None = None


class App(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application as the cluster keeps it.

    `generation` counts what replicas must be made anew for (a restart, a changed spec); a task of an older
    generation is outdated, and the leader replaces it. `revision` is the log index at which `spec` was stored;
    its `replicas` is the number wanted now. While a deployment goes on (`rollout` is its id), spec and revision are
    the old ones until the new ones have proved good. `history` is oldest first, its last entry is the present.
    """

    spec: AppSpec
    revision: int
    generation: int = 1
    created_at_s: float
    updated_at_s: float
    rollout: str = ""
    standby: Standby | None = None
    history: tuple[Revision, ...] = ()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def service_name(self) -> str:
        return self.spec.service or self.spec.name
