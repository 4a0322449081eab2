"""What nodes tell decides (issue 5): the CPU that replicas really use, and ports that other programs have."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import NOT_YET, Sleeper, containers, delete, deploy, wait_running
from tests.support.cluster import Cluster
from tests.support.engine_api import EngineApi
from tests.support.images import busybox_archive
from tests.support.leaders import catch_up, leader
from tests.support.waiting import wait_until

HOST_PORT = 18472


def _app(cluster: Cluster, number: int, name: str) -> dict[str, Any]:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get(f"/api/apps/{name}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])


def test_the_number_of_replicas_follows_the_cpu_that_they_use(three: Cluster, tmp_path: Path) -> None:
    """While the file is there each replica works as much as it can: more than 5 % of a core on any machine."""
    work = tmp_path / "work"
    work.touch()
    script = f"while [ -e {work} ]; do :; done; exec sleep 600"
    rule = {"min": 1, "max": 3, "cpu_target": 5, "down_window": "2s"}
    body = {"name": "scaled", "image": "sh", "command": ["sh", "-c", script], "autoscale": rule, "replicas": 1}
    deploy(three, 1, body)
    catch_up(three)
    chief = leader(three)
    other = next(node.number for node in three.nodes if node is not chief)

    def replicas(number: int) -> bool:
        seen.update(_app(three, other, "scaled"))
        return bool(seen["replicas"] == number and seen["running_replicas"] == number)

    seen: dict[str, Any] = {}
    wait_until(lambda: replicas(3), 60, "it has grown", errors=NOT_YET, poll_s=0.2)
    grown = seen["autoscale"]
    assert (grown["last"]["previous_replicas"], grown["last"]["replicas"]) == (1, 3)
    assert "cores, the target is 0.05 each" in grown["last"]["reason"]
    with three.client(other, timeout_s=30) as client:
        refused = client.post("/api/scale", json={"name": "scaled", "replicas": 9})
        assert (refused.status_code, "expected 1 to 3" in refused.text) == (409, True)
        assert client.post("/api/cluster/transfer-leader", json={"node": three.node(other).name}).status_code == 200
    work.unlink()
    wait_until(lambda: replicas(1), 60, "it has shrunk under another leader", errors=NOT_YET, poll_s=0.2)
    with three.client(other, timeout_s=30) as client:
        events = client.get("/api/events", params={"resources": "app/scaled", "limit": 1000}).json()["data"]["events"]
    told = [event["data"] for event in events if event["type"] == "app_scaled"]
    assert [(data["previous_replicas"], data["replicas"]) for data in told][:1] == [(1, 3)], told
    assert told[-1]["replicas"] == 1, told
    delete(three, other, "scaled")


def test_a_port_that_nobody_has_published_yet_is_known_to_be_taken(three: Cluster) -> None:
    taken, port = three.node(2), {"port": HOST_PORT + 1, "protocol": "tcp"}

    def told() -> bool:
        with three.client(3, timeout_s=30) as client:
            return port in client.get(f"/api/nodes/{taken.name}").json()["data"]["taken_ports"]

    with socket.create_server((taken.address, HOST_PORT + 1)):
        wait_until(told, 40, "the node has told of it", errors=NOT_YET, poll_s=0.2)
        with three.client(1, timeout_s=30) as client:
            body = Sleeper("early").body(3, ports=[{"container_port": 80, "host_port": HOST_PORT + 1}])
            plan = client.post("/api/deploy", params={"dry_run": "true"}, json=body).json()["data"]
    assert {task["node_id"] for task in plan["placements"]} == {three.node(1).name, three.node(3).name}
    wait_until(lambda: not told(), 40, "it is free again", errors=NOT_YET, poll_s=0.2)


def test_replicas_avoid_a_node_where_another_program_listens_on_their_port(three: Cluster) -> None:
    taken, free = three.node(2), [three.node(1).name, three.node(3).name]
    with socket.create_server((taken.address, HOST_PORT)):
        body = Sleeper("shy").body(3, ports=[{"container_port": 80, "host_port": HOST_PORT}])
        deploy(three, 1, body, running=False)

        def elsewhere() -> bool:
            seen[:] = [item["node_id"] for item in containers(three, 3, "shy") if item["status"] == "running"]
            return len(seen) == 3 and set(seen) == set(free) and len(containers(three, 3, "shy")) == 3

        seen: list[str] = []
        wait_until(elsewhere, 60, "they run on the other nodes", errors=NOT_YET, poll_s=0.1)
        with three.client(3, timeout_s=30) as client:
            detail = client.get(f"/api/nodes/{taken.name}").json()["data"]
        assert {"port": HOST_PORT, "protocol": "tcp"} in detail["taken_ports"]
        body = Sleeper("stuck").body(1, node_affinity=f"node.id={taken.name}", ports=body["ports"])
        delete(three, 1, "shy")
        deploy(three, 1, body, running=False)
        words = f"where another program has host port {HOST_PORT}/tcp"
        wait_until(
            lambda: words in containers(three, 1, "stuck")[0]["message"], 30, "it says why", errors=NOT_YET, poll_s=0.1
        )
    wait_running(three, 1, "stuck", 1)
    delete(three, 1, "stuck")


@pytest.mark.soak
@pytest.mark.docker
def test_an_image_of_another_architecture_is_not_started(docker_host: str, tmp_path: Path) -> None:
    """As a real engine tells of the image; then the name stands for one that fits."""
    image, engine = f"foreign-{secrets.token_hex(4)}:local", EngineApi(docker_host)
    engine.load_image(busybox_archive(image, architecture="s390x"))
    words = "no node fits: 1 node of another architecture than the image's (s390x)"
    try:
        with Cluster(nodes=1, data_dir=tmp_path / "cluster", runtime="docker", docker_host=docker_host) as cluster:
            body = {"name": "foreign", "image": image, "command": ["sh", "-c", "exec sleep 600"], "replicas": 1}
            deploy(cluster, 1, body, running=False)

            def told() -> bool:
                shown = containers(cluster, 1, "foreign")
                return [item["message"] for item in shown] == [words]

            wait_until(told, 60, "it says why", errors=NOT_YET, poll_s=0.1)
            engine.call("DELETE", f"/images/{image}?force=1")
            engine.load_image(busybox_archive(image))
            with cluster.client(1) as client:
                assert client.post("/api/restart", json={"name": "foreign"}).status_code == 200
            wait_running(cluster, 1, "foreign", 1)
    finally:
        engine.call("DELETE", f"/images/{image}?force=1")
