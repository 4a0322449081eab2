"""What a task asks of its node. Tasks of the same demand are alike to the filters, whatever their app."""

from __future__ import annotations

from itertools import chain

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.node import HostPort
from consensus.model.workload import Toleration
from consensus.state import State


class Demand(Struct, frozen=True):
    """`cpu` and `cpu_limit` in cores; a limit of 0 is none. `volumes` are the named local volumes that it mounts;
    `affinity` (to nodes) and `company` (to services) as the user wrote them; `spread` is the label of nodes over whose
    values replicas are spread; `architectures` of the image, one of which
    the node must run, where they are known; `host_ports` are published, and taken somewhere."""

    cpu: float = 0.0
    memory_bytes: int = 0
    cpu_limit: float = 0.0
    memory_limit_bytes: int = 0
    affinity: str = ""
    volumes: frozenset[str] = frozenset()
    company: str = ""
    spread: str = ""
    tolerations: tuple[Toleration, ...] = ()
    architectures: tuple[str, ...] = ()
    host_ports: frozenset[HostPort] = frozenset()

    @classmethod
    def of(
        cls,
        spec: AppSpec,
        local_volumes: frozenset[str],
        *,
        architecture: str = "",
        taken_ports: frozenset[HostPort] = frozenset(),
    ) -> Demand:
        """`architecture`: the image's, where a node has found that it cannot run it; else the registry's word counts.
        `taken_ports`: those that another program has on any node; the others are no obstacle anywhere."""
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
            architectures=(architecture,) if architecture else tuple(spec.image_architectures),
            host_ports=spec.host_ports & taken_ports if taken_ports else taken_ports,
        )


def taken_ports(state: State) -> frozenset[HostPort]:
    """The published ports that another program has on some node."""
    return frozenset(chain.from_iterable(node.taken_ports for node in state.nodes.values() if node.taken_ports))
