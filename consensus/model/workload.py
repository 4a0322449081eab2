"""What apps and jobs have in common: what a container of ours is made of, and which nodes it may run on."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from consensus.model.affinity import parse_affinity
from consensus.model.container import env_problems, image_problems
from consensus.model.image import Architectures, Digest, digest_problems, pinned
from consensus.model.namespace import DEFAULT
from consensus.model.node import Taint
from consensus.model.quantity import Duration, Memory, duration_s, memory_bytes

NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=63)]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]


class Resources(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one replica asks for (placement counts it) and the most it may take (the engine enforces it)."""

    cpu: Annotated[float, Meta(ge=0, le=1024)] = 0.0
    memory: Memory = 0
    cpu_limit: Annotated[float, Meta(gt=0, le=1024)] | None = None
    memory_limit: Memory | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field and what was expected there."""
        given = {name: getattr(self, name) for name in ("memory", "memory_limit") if getattr(self, name) is not None}
        unread = [problem for name, value in given.items() for problem in unreadable(name, memory_bytes, value)]
        yield from unread
        if not unread and self.memory_limit_bytes is not None:
            if self.memory_limit_bytes < self.memory_bytes:
                yield "memory_limit", f"expected at least resources.memory ({self.memory}), got {self.memory_limit}"
            elif not self.memory_limit_bytes:
                yield "memory_limit", "expected more than 0; without it there is no limit"
        if self.cpu_limit is not None and self.cpu_limit < self.cpu:
            yield "cpu_limit", f"expected at least resources.cpu ({self.cpu}), got {self.cpu_limit}"

    @property
    def memory_bytes(self) -> int:
        return memory_bytes(self.memory)

    @property
    def memory_limit_bytes(self) -> int | None:
        return None if self.memory_limit is None else memory_bytes(self.memory_limit)


class VolumeMount(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    mount_path: Annotated[str, Meta(pattern=r"^/", max_length=4096)]
    read_only: bool = False


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


class WorkloadSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of a spec that does not depend on how often, and how long, the container shall run.

    `keep_lost`: it must not run twice. So it waits for its node when that is lost, and is stopped before its successor
    starts, unless a strategy says otherwise.
    `image_digest`: which image `image` meant in its registry when that was given; all containers run this one, on nodes
    of one of `image_architectures`. Where it is left out, the registry is asked for both, unless `resolve_image` is
    off: then each node finds out by itself.
    """

    name: Name
    namespace: Name = DEFAULT
    image: Annotated[str, Meta(min_length=1, max_length=512)]
    image_digest: Digest = ""
    image_architectures: Architectures = field(default_factory=list)
    resolve_image: bool = True
    command: list[str] | None = None
    args: list[str] | None = None
    resources: Resources = Resources()
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    volumes: list[VolumeMount] = field(default_factory=list)
    node_affinity: str | None = None
    tolerations: list[Toleration] = field(default_factory=list)
    spread: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    service_affinity: str | None = None
    priority_class: str | None = None
    stop_signal: str | None = None
    stop_grace_period: Duration = "10s"
    keep_lost: bool = False

    @property
    def stop_grace_period_s(self) -> float:
        return duration_s(self.stop_grace_period)

    @property
    def pinned_image(self) -> str:
        """What an engine is asked for."""
        return pinned(self.image, self.image_digest)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field path and what was expected there."""
        yield from ((f"resources.{name}", text) for name, text in self.resources.problems())
        yield from unreadable("stop_grace_period", duration_s, self.stop_grace_period)
        for name in ("node_affinity", "service_affinity"):
            yield from unreadable(name, parse_affinity, getattr(self, name) or "")
        paths: set[str] = set()
        for i, volume in enumerate(self.volumes):
            if volume.mount_path in paths:
                yield f"volumes[{i}].mount_path", f"{volume.mount_path} is mounted twice"
            paths.add(volume.mount_path)
        yield from image_problems("image", self.image)
        yield from digest_problems(self)
        yield from env_problems("env", self.env)


def unreadable(path: str, parse: Callable[[Any], object], value: object) -> Iterator[tuple[str, str]]:
    """The problem at `path`, where `parse` cannot read `value`."""
    try:
        parse(value)
    except ValueError as error:
        yield path, str(error)
