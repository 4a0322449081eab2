"""What is compared: Hivemind, Docker Swarm, and the plain engine as the floor, all over the same engines.

Hivemind's containers are on a network of all nodes. Swarm and the floor are there twice: on the engine's default
bridge, which is the least that an engine can do, and on networks of their own as Hivemind's are, for which the engine
sets up its resolver in each container.

Each runs the same program from the same image, is asked over HTTP, and answers before the containers run; when they
run is seen in the engines' events (running.py), not here.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from scripts.bench.hivemind_nodes import ApiClient, HivemindNodes
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.support.images import BUSYBOX_IMAGE

# As pid 1, `sleep` would not hear SIGTERM.
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 36000 & wait"]
NAME = "bench"
_NETWORK = "bench"
_OVERLAY = "bench-overlay"


class Contender(Protocol):
    """One app, `bench`: `deploy`, then `scale` as often as one likes, then `remove`."""

    name: str

    def deploy(self, replicas: int) -> None: ...

    def scale(self, replicas: int) -> None: ...

    def remove(self) -> None: ...


class Updating(Contender, Protocol):
    """A contender that can replace its replicas."""

    def update(self, parallelism: int) -> None:
        """Begins to replace all by others with another environment."""
        ...

    def wait_updated(self, timeout_s: float) -> None:
        """Returns when the contender itself says that it is over."""
        ...


class Floor:
    """Creates and starts by the Engine API, on all engines side by side, `parallel` containers at a time on each."""

    name = "floor"
    network = ""

    def __init__(self, lab: Lab, parallel: int) -> None:
        self._hosts = lab.hosts
        self._workers = {host.number: ThreadPoolExecutor(parallel) for host in lab.hosts}
        self._running: list[tuple[Host, str]] = []

    def deploy(self, replicas: int) -> None:
        self.scale(replicas)

    def scale(self, replicas: int) -> None:
        """Unlike the others returns when it is done."""
        surplus, self._running = self._running[replicas:], self._running[:replicas]
        self._each([host for host, _ in surplus], [container for _, container in surplus], _stop)
        places = [self._hosts[number % len(self._hosts)] for number in range(len(self._running), replicas)]
        started = self._each(places, [self.network] * len(places), _run)
        self._running += list(zip(places, started, strict=True))

    def remove(self) -> None:
        self._running.clear()
        self._each(self._hosts, [""] * len(self._hosts), lambda host, _: host.engine.remove_containers({}))

    def _each(self, hosts: list[Host], arguments: list[str], work: Callable[[Host, str], Any]) -> list[Any]:
        futures = [
            self._workers[host.number].submit(work, host, argument)
            for host, argument in zip(hosts, arguments, strict=True)
        ]
        return [future.result() for future in futures]


class NetworkFloor(Floor):
    """The same with a bridge of its own on each host."""

    name = "floor network"
    network = _NETWORK

    def __init__(self, lab: Lab, parallel: int) -> None:
        super().__init__(lab, parallel)
        for host in lab.hosts:
            host.engine.call("POST", "/networks/create", {"Name": _NETWORK, "Driver": "bridge"})


class DockerCommand(Floor):
    """The same by the docker command, a process for each container."""

    name = "docker run"

    def scale(self, replicas: int) -> None:
        places = [self._hosts[number % len(self._hosts)] for number in range(replicas)]
        started = self._each(places, [""] * replicas, _run_by_command)
        self._running += list(zip(places, started, strict=True))


class Hivemind:
    """Asked at `entry`."""

    name = "hivemind"

    def __init__(self, nodes: HivemindNodes, entry: Host) -> None:
        self._client: ApiClient = nodes.client(entry)
        self._spec: dict[str, Any] = {}
        self._update = ""

    def deploy(self, replicas: int) -> None:
        self._spec = {"name": NAME, "image": BUSYBOX_IMAGE, "command": COMMAND, "replicas": replicas}
        self._client.call("POST", "/api/deploy", self._spec)

    def update(self, parallelism: int) -> None:
        strategy = {
            "type": "rolling-update",
            "order": "stop-first",
            "max_unavailable": parallelism,
            "max_surge": 0,
            "monitor": "0s",
        }
        spec = {**self._spec, "env": {"PARALLELISM": str(parallelism)}, "update_strategy": strategy}
        self._update = self._client.call("PUT", f"/api/apps/{NAME}", spec)["deployment_id"]

    def wait_updated(self, timeout_s: float) -> None:
        _wait(lambda: self._client.call("GET", f"/api/deployments/{self._update}")["status"] == "completed", timeout_s)

    def scale(self, replicas: int) -> None:
        self._client.call("POST", "/api/scale", {"name": NAME, "replicas": replicas})

    def remove(self) -> None:
        self._client.call("DELETE", f"/api/apps/{NAME}")


class Swarm:
    """All engines are managers, as all of Hivemind's three nodes vote; asked at host 1, which leads.

    The Engine API never resolves a tag by itself (that is `docker service create` without --no-resolve-image).
    """

    name = "swarm"

    def __init__(self, lab: Lab) -> None:
        self._hosts = lab.hosts
        self._engine = lab.host(1).engine

    def start(self) -> None:
        first, *others = self._hosts
        listening = {"ListenAddr": "0.0.0.0:2377"}
        self._engine.call("POST", "/swarm/init", {**listening, "AdvertiseAddr": first.address})
        token = self._engine.call("GET", "/swarm")["JoinTokens"]["Manager"]
        for host in others:
            joining = {**listening, "AdvertiseAddr": host.address, "JoinToken": token}
            host.engine.call("POST", "/swarm/join", {**joining, "RemoteAddrs": [f"{first.address}:2377"]})

    def stop(self) -> None:
        for host in reversed(self._hosts):
            host.engine.call("POST", "/swarm/leave?force=true")

    def ready(self) -> set[str]:
        """Names of the hosts that Swarm schedules on."""
        nodes = self._engine.call("GET", "/nodes")
        return {node["Description"]["Hostname"] for node in nodes if node["Status"]["State"] == "ready"}

    def deploy(self, replicas: int) -> None:
        container = {"Image": BUSYBOX_IMAGE, "Command": COMMAND}
        mode = {"Replicated": {"Replicas": replicas}}
        template = {"ContainerSpec": container, **self._attachment()}
        spec = {"Name": NAME, "TaskTemplate": template, "Mode": mode}
        self._engine.call("POST", "/services/create", spec)

    def _attachment(self) -> dict[str, Any]:
        """Networks, as a part of a service's task."""
        return {}

    def scale(self, replicas: int) -> None:
        service = self._engine.call("GET", f"/services/{NAME}")
        spec = {**service["Spec"], "Mode": {"Replicated": {"Replicas": replicas}}}
        self._engine.call("POST", f"/services/{NAME}/update?version={service['Version']['Index']}", spec)

    def update(self, parallelism: int) -> None:
        service = self._engine.call("GET", f"/services/{NAME}")
        spec = service["Spec"]
        spec["TaskTemplate"]["ContainerSpec"]["Env"] = [f"PARALLELISM={parallelism}"]
        # Its order is stop-first by itself; it watches for failures beside the update (5 s by default).
        spec["UpdateConfig"] = {"Parallelism": parallelism, "Order": "stop-first", "Monitor": 1_000_000}
        self._engine.call("POST", f"/services/{NAME}/update?version={service['Version']['Index']}", spec)

    def wait_updated(self, timeout_s: float) -> None:
        def over() -> bool:
            status = self._engine.call("GET", f"/services/{NAME}").get("UpdateStatus") or {}
            return status.get("State") == "completed"

        _wait(over, timeout_s)

    def remove(self) -> None:
        self._engine.call("DELETE", f"/services/{NAME}")


class SwarmOverlay(Swarm):
    """The same swarm, with services on an overlay network: names and addresses across all nodes, as Hivemind's.

    `start` once the swarm has started.
    """

    name = "swarm overlay"

    def start(self) -> None:
        self._engine.call("POST", "/networks/create", {"Name": _OVERLAY, "Driver": "overlay"})

    def _attachment(self) -> dict[str, Any]:
        return {"Networks": [{"Target": _OVERLAY}]}


def _wait(over: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not over():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the update is not over after {timeout_s:g} s")
        time.sleep(0.1)


def _run(host: Host, network: str) -> str:
    config: dict[str, Any] = {"Image": BUSYBOX_IMAGE, "Entrypoint": COMMAND}
    if network:
        config["HostConfig"] = {"NetworkMode": network}
    container_id: str = host.engine.call("POST", "/containers/create", config)["Id"]
    host.engine.call("POST", f"/containers/{container_id}/start")
    return container_id


def _run_by_command(host: Host, _: str) -> str:
    argv = ["docker", "-H", host.docker_host, "run", "-d", BUSYBOX_IMAGE, *COMMAND]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _stop(host: Host, container_id: str) -> None:
    host.engine.call("POST", f"/containers/{container_id}/stop?t=10")
    host.engine.call("DELETE", f"/containers/{container_id}")
