"""Apps on a cluster of real daemons: deploying, waiting for replicas, and counting what really runs."""

from __future__ import annotations

import random
from typing import Any

import httpx2
import psutil

from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

NOT_YET = (httpx2.TransportError,)


class Sleeper:
    """An app whose replicas sleep for a number of seconds that nobody else uses, so that they can be counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = str(random.randint(10**6, 10**9))

    def body(self, replicas: int, **more: Any) -> dict[str, Any]:
        """For ``POST /deploy``."""
        command = ["sleep", self.seconds]
        return {"name": self.name, "image": "sleeper", "command": command, "replicas": replicas, **more}

    def processes(self) -> dict[int, float]:
        """Pids of the replicas that run on this machine, with their start times."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.cmdline() == ["sleep", self.seconds] and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process.create_time()
            except psutil.Error:
                continue
        return found


def deploy(cluster: Cluster, number: int, body: dict[str, Any], *, running: bool = True) -> list[str]:
    """Deploys at a node and waits until all replicas run there; their container ids."""
    with cluster.client(number, timeout_s=30) as client:
        answer = client.post("/api/deploy", json=body)
        assert answer.status_code == 201, answer.text
    if running:
        wait_running(cluster, number, body["name"], body["replicas"])
    ids: list[str] = answer.json()["data"]["container_ids"]
    return ids


def delete(cluster: Cluster, number: int, name: str) -> None:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.delete(f"/api/apps/{name}")
        assert answer.status_code == 200, answer.text


def containers(cluster: Cluster, number: int, app: str) -> list[dict[str, Any]]:
    """As a node's list shows them, in its order."""
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get("/api/containers", params={"app": app, "limit": 1000})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["data"]["containers"]
        return items


def wait_running(cluster: Cluster, number: int, app: str, replicas: int, timeout_s: float = 60.0) -> None:
    """Waits until a node shows exactly so many containers of the app, and all of them running."""

    def complete() -> bool:
        shown = containers(cluster, number, app)
        seen[:] = [(item["id"], item["node_id"], item["status"], item["message"]) for item in shown]
        return len(shown) == replicas and all(item["status"] == "running" for item in shown)

    seen: list[tuple[str, ...]] = []
    try:
        wait_until(complete, timeout_s, f"{replicas} replicas of {app} run", errors=NOT_YET, poll_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}; last: {seen}") from None
