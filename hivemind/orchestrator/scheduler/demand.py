"""What a task asks of its node. Tasks of the same demand are alike to the filters, whatever their app."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.workload import Toleration


class Demand(Struct, frozen=True):
    """`cpu` and `cpu_limit` in cores; a limit of 0 is none. `volumes` are the named local volumes that it mounts;
    `affinity` (to nodes) and `company` (to services) as the user wrote them; `spread` is the label of nodes over whose
    values replicas are spread."""

    cpu: float = 0.0
    memory_bytes: int = 0
    cpu_limit: float = 0.0
    memory_limit_bytes: int = 0
    affinity: str = ""
    volumes: frozenset[str] = frozenset()
    company: str = ""
    spread: str = ""
    tolerations: tuple[Toleration, ...] = ()

    @classmethod
    def of(cls, spec: AppSpec, local_volumes: frozenset[str]) -> Demand:
        return cls(
            cpu=spec.resources.cpu,
            memory_bytes=spec.resources.memory_bytes,
            cpu_limit=spec.resources.cpu_limit or 0.0,
            memory_limit_bytes=spec.resources.memory_limit_bytes or 0,
            affinity=spec.node_affinity or "",
            volumes=frozenset(mount.name for mount in spec.volumes) & local_volumes,
            company=spec.service_affinity or "",
            spread=spec.spread or "",
            tolerations=tuple(spec.tolerations),
        )
