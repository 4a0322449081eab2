"""What is published, and by which replicas it is served. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from consensus.model.task import Task
from consensus.state import State


class PublishedPort(Struct, frozen=True, order=True):
    """A port of every node; `protocol` is tcp or udp."""

    host_port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.host_port}/{self.protocol}"


class Backend(Struct, frozen=True):
    """A serving replica. `address` and `port` are good on its own node only."""

    task_id: str
    node_id: str
    container_port: int
    address: str
    port: int


Routes = Mapping[PublishedPort, tuple[Backend, ...]]


def backend_of(task: Task, container_port: int) -> Backend | None:
    """Where `task` is reached on its node; None while it has no address."""
    status = task.status
    if task.node_id is None or status.ip_address is None:
        return None
    port = status.port_map.get(container_port, container_port)
    return Backend(task.id, task.node_id, container_port, status.ip_address, port)


def routes(state: State) -> dict[PublishedPort, tuple[Backend, ...]]:
    """Every published port, also those that no replica serves now.

    A replica serves a port by its own revision's spec: an outdated one may have another container port for it.
    """
    found: dict[PublishedPort, tuple[Backend, ...]] = {}
    for (host_port, protocol), app in state.app_by_host_port.items():
        backends = []
        for task in state.tasks_of_app(app):
            if not state.takes_traffic(task):
                continue
            for port in state.spec_of(task).ports:
                if (port.host_port, port.protocol) == (host_port, protocol):
                    backend = backend_of(task, port.container_port)
                    if backend is not None:
                        backends.append(backend)
        found[PublishedPort(host_port, protocol)] = tuple(backends)
    return found
