"""A cluster of real daemons on real hosts of a lab, each with a Docker engine of its own.

with Lab(3) as lab, LabCluster(lab, data_dir=tmp_path) as cluster:
    cluster.cli(2, "app", "deploy", …)
    cluster.host(1).kill_host()
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from runtime import labels
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.process import HostProcess
from tests.support.cluster import Cluster, Node
from tests.support.waiting import wait_until

NOT_YET = (httpx2.TransportError,)


class LabNode(Node):
    """A daemon inside of a host: it dies with the host, and freezes with it."""

    def __init__(self, host: Host, number: int, name: str, folder: Path, argv: Sequence[str]) -> None:
        super().__init__(number, name, host.address, folder, argv)
        self.host = host
        self._on_host: HostProcess | None = None

    @property
    def pid(self) -> int:
        assert self._on_host is not None, f"{self.name} was not started"
        return self._on_host.pid

    def is_running(self) -> bool:
        return self._on_host is not None and self._on_host.poll() is None

    def start(self) -> None:
        assert not self.is_running(), f"{self.name} runs already"
        self._on_host = self.host.popen(self.argv, log=self.log)

    def start_again(self) -> int:
        """Try to start a second daemon beside the one that runs; its exit status."""
        return self.host.popen(self.argv, log=self.log).wait(30)

    def signal(self, number: signal.Signals) -> None:
        if self._on_host is not None:
            self._on_host.signal(number)

    def kill9(self) -> None:
        self.signal(signal.SIGKILL)
        self.sigcont()
        self.wait()

    def wait(self, timeout_s: float = 15.0) -> int:
        assert self._on_host is not None, f"{self.name} was not started"
        return self._on_host.wait(timeout_s)

    # ---- what its engine has

    def inspect_all(self, **wanted: str) -> list[dict[str, Any]]:
        """`docker inspect` of this cluster's containers on this host, stopped ones too; `app` narrows it."""
        labels_wanted = [f"{labels.NODE}={self.name}", *(f"hivemind.{key}={value}" for key, value in wanted.items())]
        filters = quote(json.dumps({"label": labels_wanted}))
        found = self.host.engine.call("GET", f"/containers/json?all=true&filters={filters}")
        return [self.inspect(container["Id"]) for container in found]

    def inspect(self, engine_id: str) -> dict[str, Any]:
        """`docker inspect`; an empty one for a container that is gone."""
        status, answer = self.host.engine.request("GET", f"/containers/{engine_id}/json")
        found: dict[str, Any] = json.loads(answer) if status == 200 else {}
        return found


class LabCluster(Cluster):
    """A daemon on each host of `lab`; `options` go to every daemon."""

    def __init__(self, lab: Lab, *, data_dir: Path, options: Sequence[str] = (), **settings: Any) -> None:
        self.lab = lab
        super().__init__(
            data_dir=data_dir,
            addresses=[host.address for host in lab.hosts],
            runtime="docker",
            options=["--docker-host", "unix:///run/docker.sock", *options],
            **settings,
        )

    def make_node(self, number: int, address: str, argv: Sequence[str]) -> Node:
        host = self.lab.host(number)
        return LabNode(host, number, f"node-{number}-{self.name}", self.data_dir, argv)

    def node(self, number: int) -> LabNode:
        node = self.nodes[number - 1]
        assert isinstance(node, LabNode)
        return node

    def number_of(self, node_id: str) -> int:
        return next(node.number for node in self.nodes if node.name == node_id)

    @property
    def numbers(self) -> list[int]:
        return [node.number for node in self.nodes]

    # ---- asking the API

    def get(self, number: int, path: str, **query: Any) -> dict[str, Any]:
        """The `data` of a GET at a node; an assertion fails with the answer where it is refused."""
        with self.client(number) as client:
            return _data(client.get(f"/api{path}", params=query))

    def post(self, number: int, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.client(number, timeout_s=30) as client:
            return _data(client.post(f"/api{path}", json=body))

    def delete(self, number: int, path: str) -> dict[str, Any]:
        with self.client(number, timeout_s=30) as client:
            return _data(client.delete(f"/api{path}"))

    def deploy(self, number: int, name: str, replicas: int, **fields: Any) -> list[dict[str, Any]]:
        """Deploy an app of `busybox:local`, that sleeps if it is given no `command`; its running containers."""
        # What runs as a container's first process is deaf to SIGTERM: its grace would only be waited for.
        body = {
            "name": name,
            "image": "busybox:local",
            "replicas": replicas,
            "stop_grace_period": "200ms",
            **fields,
        }
        if not {"command", "args"} & fields.keys():
            body["command"] = ["sleep", "3600"]
        self.post(number, "/deploy", body)
        return self.wait_running(number, name, replicas)

    def containers(self, number: int, app: str) -> list[dict[str, Any]]:
        """As node `number` lists them."""
        found: list[dict[str, Any]] = self.get(number, "/containers", app=app, limit=1000)["containers"]
        return found

    def wait_running(
        self, number: int, app: str, replicas: int, *, on: Iterable[int] | None = None, timeout_s: float = 60
    ) -> list[dict[str, Any]]:
        """Wait until exactly `replicas` containers of the app are there and run, on the nodes `on` (None: any)."""
        allowed = {self.node(each).name for each in on or self.numbers}

        def running() -> list[dict[str, Any]] | None:
            found = self.containers(number, app)
            seen.clear()
            seen.extend((each["node_id"], each["status"]) for each in found)
            well = all(each["status"] == "running" and each["node_id"] in allowed for each in found)
            return found if well and len(found) == replicas else None

        seen: list[tuple[str | None, str]] = []
        what = f"{replicas} running containers of {app} on {sorted(allowed)}"
        try:
            # An app of no replicas answers with an empty list, which is no "not yet".
            wait_until(lambda: running() is not None, timeout_s, what, errors=NOT_YET)
        except AssertionError as error:
            raise AssertionError(f"{error}; {seen}") from error
        return running() or []

    def leader(self, number: int) -> int:
        """The number of the node that leads, in the eyes of node `number`."""

        def leader_id() -> str | None:
            with self.client(number) as client:
                return client.get("/api/nodes").headers.get("X-Hivemind-Leader")

        return self.number_of(wait_until(leader_id, 30, "a leader", errors=NOT_YET) or "")

    def spread(self, number: int, app: str) -> Counter[int]:
        """How many containers each node has, by its number."""
        return Counter(self.number_of(each["node_id"]) for each in self.containers(number, app))

    def wait_status(self, number: int, of: int, status: str, timeout_s: float = 30) -> None:
        """Wait until node `number` shows node `of` in this status."""
        path = f"/nodes/{self.node(of).name}"
        what = f"node {of} {status} as seen by node {number}"
        wait_until(lambda: self.get(number, path)["status"] == status, timeout_s, what, errors=NOT_YET)

    # ---- asking the engines

    def on_engines(self, app: str) -> Counter[str]:
        """How often each task of the app runs, counted on all engines by label."""
        return Counter(
            container["Config"]["Labels"][labels.TASK]
            for node in map(self.node, self.numbers)
            for container in node.inspect_all(app=app)
            if container.get("State", {}).get("Running")
        )

    def wait_engines_agree(self, number: int, app: str, replicas: int, timeout_s: float = 60) -> None:
        """Wait until the engines run just the containers that node `number` lists, each once."""
        self.wait_running(number, app, replicas, timeout_s=timeout_s)

        def agree() -> bool:
            listed = Counter(each["id"] for each in self.containers(number, app))
            return self.on_engines(app) == listed and sum(listed.values()) == replicas

        wait_until(agree, timeout_s, f"engines that run the {replicas} containers of {app} once each", errors=NOT_YET)

    def wait_no_containers(self, app: str, timeout_s: float = 60) -> None:
        """Wait until no node lists one of the app, and no engine has one, running or not."""

        def gone() -> bool:
            listed = any(self.containers(number, app) for number in self.numbers)
            return not listed and not any(self.node(number).inspect_all(app=app) for number in self.numbers)

        wait_until(gone, timeout_s, f"the end of the last container of {app}", errors=NOT_YET)

    def wait_alike(self, app: str) -> None:
        """Wait until the list of the app's containers is the same from every node (each follows within a moment)."""

        def alike() -> bool:
            lists = [self.containers(number, app) for number in self.numbers]
            return all(each == lists[0] for each in lists)

        wait_until(alike, 15, f"the same containers of {app} from every node")

    def cli_json(self, number: int, *arguments: str) -> Any:
        done = self.cli(number, *arguments, "--output", "json")
        assert done.returncode == 0, f"hivemind {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def restart_host(self, number: int) -> None:
        """Power a host on again that was killed, with its engine and its daemon."""
        node = self.node(number)
        node.host.start_host()
        node.host.start_engine()
        node.start()

    def stop(self) -> None:
        for node in map(self.node, self.numbers):
            if node.host.init_pid() is not None:
                node.host.resume()
        try:
            super().stop()
        except subprocess.TimeoutExpired:
            print(self.log_tails())
            raise


def _data(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code < 300, f"{answer.request.method} {answer.request.url}: {answer.text}"
    data: dict[str, Any] = answer.json()["data"]
    return data
