"""Any node answers (issue 2; design.md §2, §3): writes, reads, credentials, containers and ports of other nodes."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
import trio

from tests.support.apps import containers, deploy, wait_running
from tests.support.cluster import API_PORT, Cluster
from tests.support.event_clients import basic
from tests.support.leaders import followers, leader, wait_whole
from tests.support.waiting import wait_until

CHATTY = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done"]


def data(answer: httpx2.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


def test_you_read_your_own_writes_where_you_wrote(three: Cluster) -> None:
    chief = leader(three)
    for node in followers(three):
        with three.client(node.number) as client:
            for number in range(30):
                name = f"own-{node.number}-{number}"
                created = client.post("/api/volumes/create", json={"name": name})
                assert created.status_code == 201
                read = client.get(f"/api/volumes/{name}")
                assert read.status_code == 200
                assert int(read.headers["X-Hivemind-Index"]) >= int(created.headers["X-Hivemind-Index"]) > 0
                assert read.headers["X-Hivemind-Leader"] == chief.name
                assert 0 <= int(read.headers["X-Hivemind-Last-Contact-Ms"]) < 5000


def test_a_consistent_read_sees_what_was_written_elsewhere(three: Cluster) -> None:
    with three.client(1) as one, three.client(2) as two, three.client(3) as three_:
        for number in range(20):
            name = f"elsewhere-{number}"
            assert one.post("/api/volumes/create", json={"name": name}).status_code == 201
            for client in (two, three_):
                assert client.get(f"/api/volumes/{name}", params={"consistent": "true"}).status_code == 200


def test_every_node_answers_errors_and_health_alike(three: Cluster) -> None:
    for node in three.nodes:
        with httpx2.Client(base_url=node.url, trust_env=False, verify=False) as anybody:
            assert data(anybody.get("/api/health"))["leader"] == leader(three).name
            for path, status, code in (
                ("/api/apps", 401, "authentication_failed"),
                ("/api/nonsense", 404, "resource_not_found"),
                ("/nonsense", 404, "resource_not_found"),
            ):
                answer = anybody.get(path)
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
                assert answer.headers["X-Hivemind-Leader"]


class TestCredentials:
    def test_each_kind_is_good_at_every_node_and_a_logout_counts_everywhere(self, three: Cluster) -> None:
        with three.client(1) as admin:
            body = {"username": "admin", "password": three.admin_password}
            token = data(admin.post("/api/auth/login", json=body))["token"]
            key = data(admin.post("/api/auth/api-keys", json={"name": "k"}), 201)["key"]

        def status(number: int, credentials: str) -> int:
            headers = {"Authorization": f"Bearer {credentials}"}
            with httpx2.Client(
                base_url=three.node(number).url, headers=headers, trust_env=False, verify=False
            ) as client:
                return client.get("/api/apps", params={"consistent": "true"}).status_code

        for number in (1, 2, 3):
            assert (status(number, token), status(number, key), status(number, token[:-2])) == (200, 200, 401)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=three.node(3).url, headers=headers, trust_env=False, verify=False) as client:
            assert client.post("/api/auth/logout").status_code == 200
        for number in (1, 2, 3):
            wait_until(lambda number=number: status(number, token) == 401, 5, f"it is revoked at node {number}")
            assert status(number, key) == 200


@pytest.fixture(scope="module")
def chatty(three: Cluster) -> dict[str, Any]:
    """A container, and asked about at a node where it does not run."""
    body = {"name": "chatty", "image": "sh", "command": CHATTY, "replicas": 3}
    deploy(three, 1, body)
    return next(item for item in containers(three, 1, "chatty") if item["node_id"] == three.node(3).name)


class TestContainers:
    def test_logs_from_another_node(self, three: Cluster, chatty: dict[str, Any]) -> None:
        path = f"/api/containers/{chatty['id']}/logs"
        with three.client(1) as client:

            def lines(**params: Any) -> list[str]:
                return list(data(client.get(path, params=params))["logs"].splitlines())

            wait_until(lambda: len(lines()) >= 10, 20, "ten lines")
            everything = lines()
            assert [line.rpartition("line ")[2] for line in everything[:3]] == ["1", "2", "3"]
            assert len(lines(tail=4)) == 4
            assert lines(tail=0) == []
            middle_s = time.time() - 1.0
            since, until = lines(since=middle_s), lines(until=middle_s)
            assert 0 < len(since) < len(everything)
            assert 0 < len(until) < len(lines())
            assert int(until[-1].rpartition(" ")[2]) < int(since[-1].rpartition(" ")[2])
            assert client.get(path, params={"tail": "many"}).status_code == 400

    async def test_following_logs_from_another_node(self, three: Cluster, chatty: dict[str, Any]) -> None:
        path = f"/api/containers/{chatty['id']}/logs"
        got = b""
        async with await trio.open_tcp_stream(three.node(2).address, API_PORT) as stream:
            head = f"GET {path}?follow=true&tail=1 HTTP/1.0\r\nHost: x\r\nAuthorization: {basic(three)}\r\n\r\n"
            await stream.send_all(head.encode())
            with trio.fail_after(20):
                while got.count(b"line ") < 6:
                    piece = await stream.receive_some()
                    assert piece, got
                    got += piece
        numbers = [int(part.split()[0]) for part in got.split(b"line ")[1:] if part.endswith(b"\n")]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def test_stats_and_health_from_another_node(self, three: Cluster, chatty: dict[str, Any]) -> None:
        for number in (1, 2, 3):
            with three.client(number) as client:
                stats = data(client.get(f"/api/containers/{chatty['id']}/stats"))
                assert stats["memory_usage"] > 0
                assert stats["cpu_usage"] >= 0
                assert data(client.get(f"/api/health/container/{chatty['id']}"))["status"] == "healthy"
                assert data(client.get(f"/api/health/node/{three.node(3).name}"))["cpu_usage"] is not None


def test_a_published_port_is_served_by_every_node(three: Cluster) -> None:
    """One replica: the two other nodes have it brought to them."""
    port = 24480
    ports = [{"container_port": 80, "host_port": port}]
    deploy(three, 2, {"name": "one-web", "image": "hivemind/whoami", "replicas": 1, "ports": ports})
    for node in three.nodes:

        def answers(url: str = f"http://{node.address}:{port}/") -> bool:
            return httpx2.get(url, timeout=5, trust_env=False, verify=False).status_code == 200

        wait_until(answers, 20, f"the port at node {node.number}", errors=(httpx2.TransportError,))
    with three.client(3) as client:
        taken = client.post("/api/deploy", json={"name": "other", "image": "hivemind/whoami", "ports": ports})
        assert taken.status_code == 409
        assert data(client.delete("/api/apps/one-web"))


def test_a_volume_is_made_on_first_use(three: Cluster) -> None:
    mounts = [{"name": "fresh", "mount_path": "/data"}]
    body = {"name": "user", "image": "sh", "command": ["sleep", "1000"], "replicas": 1, "volumes": mounts}
    ids = deploy(three, 3, body)
    with three.client(1) as client:
        volume = data(client.get("/api/volumes/fresh", params={"consistent": "true"}))
        assert (volume["type"], volume["used_by"]) == ("local", ids)
        assert client.delete("/api/volumes/fresh").status_code == 409


def test_without_a_leader_reads_are_answered_and_writes_refused(three: Cluster) -> None:
    """Two of three are killed: the last one knows what it knew. It comes last, as it hurts."""
    deploy(three, 1, {"name": "stays", "image": "sh", "command": ["sleep", "1000"], "replicas": 3})
    left = followers(three)[0]
    for node in three.nodes:
        if node is not left:
            node.kill9()
    with three.client(left.number, timeout_s=30) as client:
        wait_until(lambda: client.get("/api/apps").headers["X-Hivemind-Leader"] == "", 30, "it knows no leader")
        start_s = time.monotonic()
        refused = client.post("/api/volumes/create", json={"name": "never"})
        took_s = time.monotonic() - start_s
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "unavailable"
        assert int(refused.headers["Retry-After"]) >= 1
        assert took_s < 8
        names = {app["name"] for app in data(client.get("/api/apps"))["apps"]}
        assert "stays" in names
        assert data(client.get("/api/health"))["status"] == "unhealthy"
        assert client.get("/api/apps", params={"consistent": "true"}).status_code == 503
        assert data(client.get("/api/containers", params={"app": "stays"}))["total"] == 3
    for node in three.nodes:
        if node is not left:
            node.start()
    wait_whole(three)
    wait_running(three, left.number, "stays", 3)
    with three.client(left.number) as client:
        assert client.get("/api/volumes/never").status_code == 404
        assert client.post("/api/volumes/create", json={"name": "now"}).status_code == 201
