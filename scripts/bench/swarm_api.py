"""Docker Swarm's API with the same objects: an app of 100 replicas that no node may take, and apps that writers change.

Asked over the engines' unix sockets, which is what they listen on by themselves; that spares them TCP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from http_load import Load
from msgspec import Struct

from scripts.bench.contenders import COMMAND, Swarm
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.support.images import BUSYBOX_IMAGE
from tests.support.waiting import wait_until

NOWHERE = {"Constraints": ["node.labels.place==nowhere"]}


class SwarmOperation(Struct, frozen=True):
    """A write of Swarm's needs the version that it changes: it is read before."""

    method: str
    path: str
    version_path: str = ""
    bodies: tuple[str, ...] = ()


def operations(writers: int) -> dict[str, SwarmOperation]:
    """By the names of what is asked of Hivemind."""
    bodies = tuple(msgspec.json.encode(_service(f"w{number}", 0)).decode() for number in range(writers))
    return {
        "list 100": SwarmOperation("GET", "/tasks"),
        "get app": SwarmOperation("GET", "/services/many"),
        "health": SwarmOperation("GET", "/_ping"),
        "write": SwarmOperation("POST", "/services/w{n}/update?version={version}", "/services/w{n}", bodies),
    }


def load_of(operation: SwarmOperation, host: Host, clients: int, seconds: float) -> Load:
    socket = host.docker_host.removeprefix("unix://")
    path, bodies = operation.path, list(operation.bodies)
    return Load(socket, 0, operation.method, path, clients, seconds, {}, bodies, version_path=operation.version_path)


@contextmanager
def filled_swarm(nodes: int, writers: int) -> Iterator[dict[str, Host]]:
    """The host that leads, and one that follows, where there is one. All are managers."""
    with Lab(nodes) as lab:
        swarm = Swarm(lab)
        swarm.start()
        engine = lab.host(1).engine
        for number in range(writers):
            engine.call("POST", "/services/create", _service(f"w{number}", 0))
        engine.call("POST", "/services/create", _service("many", 100))
        wait_until(lambda: len(engine.call("GET", "/tasks")) == 100, 60.0)
        yield {"leader": lab.host(1), **({"follower": lab.host(2)} if nodes > 1 else {})}


def _service(name: str, replicas: int) -> dict[str, object]:
    container = {"Image": BUSYBOX_IMAGE, "Command": COMMAND}
    template = {"ContainerSpec": container, "Placement": NOWHERE}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}}
