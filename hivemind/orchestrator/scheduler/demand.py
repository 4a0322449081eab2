"""What a task asks of its node. Tasks of the same demand are alike to the filters, whatever their app."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app import AppSpec


class Demand(Struct, frozen=True):
    """`cpu` in cores; `volumes` are the named local volumes that it mounts; `affinity` as the user wrote it."""

    cpu: float = 0.0
    memory_bytes: int = 0
    affinity: str = ""
    volumes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, spec: AppSpec, local_volumes: frozenset[str]) -> Demand:
        return cls(
            cpu=spec.resources.cpu,
            memory_bytes=spec.resources.memory_bytes,
            affinity=spec.node_affinity or "",
            volumes=frozenset(mount.name for mount in spec.volumes) & local_volumes,
        )
