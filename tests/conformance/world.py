"""A live cluster with something in it, asked at another node each time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator
from typing import Any

import httpx2

from tests.conformance.cases import Operation, by_heading
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

APP = "shown"
LINES = 5
NOTHING_HERE = "there is nothing at this path"
WRONG_METHOD = "this path does not answer this method"
HOST_PORT = 18080


class World:
    """What `world.<name>` in a case means is an attribute here."""

    app_name = APP
    service_name = "shown.local"
    volume_name = "shown-data"
    host_port = HOST_PORT

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.clients = [
            httpx2.Client(base_url=f"{node.url}/api", timeout=20.0, trust_env=False, verify=False)
            for node in cluster.nodes
        ]
        self._turns = itertools.cycle(self.clients)
        self.index = 0
        self.given: dict[str, Any] = {}
        self.admin_password = cluster.admin_password

    def open(self) -> None:
        """Logs in, and deploys what is to be seen."""
        self.token = self.log_in("admin", self.admin_password)
        self.viewer_token = self._make_user("viewer")
        self._fill()

    def close(self) -> None:
        for client in self.clients:
            client.close()

    # -- asking

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: dict[str, str] | None = None,
        token: str | None = "",
        **more: Any,
    ) -> httpx2.Response:
        """One request at the next node, which has first caught up with what was written through others.

        `token`: "" is the admin's, None is nobody's.
        """
        client = next(self._turns)
        self._catch_up(client)
        headers = {**more.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        if body is not None:
            more["json"] = body
        answer = client.request(method, path, params=params, headers=headers, **more)
        self.index = max(self.index, int(answer.headers.get("X-Hivemind-Index", 0)))
        return answer

    def _catch_up(self, client: httpx2.Client) -> None:
        deadline_s = time.monotonic() + 10.0
        while int(client.get("/health").headers["X-Hivemind-Index"]) < self.index:
            assert time.monotonic() < deadline_s, f"{client.base_url} stays behind index {self.index}"
            time.sleep(0.005)

    def data(self, method: str, path: str, **more: Any) -> Any:
        answer = self.ask(method, path, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()["data"]

    def log_in(self, username: str, password: str) -> str:
        body = {"username": username, "password": password}
        answer = self.clients[0].post("/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["token"])

    def _make_user(self, role: str) -> str:
        self.data("POST", "/users", body={"username": role, "password": "correct horse", "role": role})
        return self.log_in(role, "correct horse")

    # -- cases

    def is_absent(self, operation: Operation, answer: httpx2.Response) -> bool:
        """Whether the answer says that there is no such operation (and not: no such thing)."""
        if answer.status_code not in (404, 405):
            return False
        return answer.json()["error"]["message"] in (NOTHING_HERE, WRONG_METHOD)

    def prepare(self, operation: Operation) -> None:
        """Does what the case is given, and makes way for it."""
        for step in operation.live.before:
            self.ask(step.method, step.path, body=step.body)
        if operation.live.before:
            wait_until(self._example_is_gone, 20.0, "no container of the example's app")
        for heading in operation.live.given:
            self._give(by_heading()[heading])

    def _give(self, operation: Operation) -> None:
        answer = self.ask(operation.method, self.path(operation), body=self.body(operation))
        if answer.status_code < 300:
            self.given[operation.heading] = answer.json()["data"]
        else:
            # It is there from an earlier case; or the operation is not, which its own case tells.
            known = answer.status_code == 409 or self.is_absent(operation, answer)
            assert known, f"{operation.heading}: {answer.status_code} {answer.text}"

    def path(self, operation: Operation, **instead: str) -> str:
        path = operation.path
        for name, source in operation.live.variables.items():
            path = path.replace(f"{{{name}}}", instead.get(name) or str(self.resolve(source)))
        return path

    def body(self, operation: Operation) -> Any:
        if operation.request is None:
            return None
        return {**operation.request, **{key: self.resolve(value) for key, value in operation.live.body.items()}}

    def resolve(self, value: Any) -> Any:
        """What a text of a case means; other values mean themselves."""
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, str):
            return value
        source, _, field = value.partition(".")
        if source == "world":
            return getattr(self, field)
        if source in by_heading():
            return self.given.get(source, {}).get(field, "not-there-yet")
        return value

    # -- what is in it

    def _fill(self) -> None:
        script = f"for i in $(seq {LINES}); do echo line $i; done; exec sleep 3600"
        self.data("POST", "/volumes/create", body={"name": self.volume_name, "size": "1G", "labels": {"a": "b"}})
        spec = {
            "name": APP,
            "image": "busybox",
            "service": self.service_name,
            "replicas": 3,
            "command": ["sh", "-c", script],
            "env": {"GREETING": "hello"},
            "resources": {"cpu": 0.05, "memory": "16M", "cpu_limit": 1.0, "memory_limit": "128M"},
            "volumes": [{"name": self.volume_name, "mount_path": "/data"}],
            "ports": [{"container_port": 80, "host_port": self.host_port, "protocol": "tcp"}],
            "health_check": {"command": "true", "interval": "1s", "timeout": "5s", "retries": 3, "start_period": "0s"},
        }
        self.container_id = self.data("POST", "/deploy", body=spec)["container_ids"][0]
        self.tainted_node_id = self.cluster.node(3).name
        taint = {"key": "special", "value": "true", "effect": "PreferNoSchedule"}
        labels = {"zone": "zone1"}
        self.data("PUT", f"/nodes/{self.tainted_node_id}/labels", body={"labels": labels, "taints": [taint]})
        wait_until(self._all_healthy, 30.0, f"three healthy containers of {APP}", poll_s=0.1)
        self.node_id = self.data("GET", f"/containers/{self.container_id}")["node_id"]
        wait_until(self._all_checked, 30.0, "a health check's time and a sample of every node", poll_s=0.1)

    def _example_is_gone(self) -> bool:
        return bool(self.data("GET", "/containers", params={"app": "web-server"})["total"] == 0)

    def _all_healthy(self) -> bool:
        containers = self.data("GET", "/containers", params={"app": APP})["containers"]
        return [(c["status"], c["health"]["status"]) for c in containers] == [("running", "healthy")] * 3

    def _all_checked(self) -> bool:
        checked = self.data("GET", f"/health/container/{self.container_id}")["health_history"]
        return bool(checked) and all(
            self.data("GET", f"/health/node/{node.name}")["health_history"] for node in self.cluster.nodes
        )


def lines_of(answer: httpx2.Response) -> Generator[str, None, None]:
    """The lines of a stream; close it (`contextlib.closing`) before the answer."""
    yield from answer.iter_lines()
