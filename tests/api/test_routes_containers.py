"""Containers on any node: api_reference.md, "Containers" and "Get Container Health"."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from api.deps import LogLine
from consensus.model.task import Health, TaskState, TaskStatus


async def test_list_and_detail_have_the_references_fields(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy(
        replicas=1,
        env={"A": "1"},
        volumes=[{"name": "data", "mount_path": "/data"}],
        ports=[{"container_port": 80, "host_port": 8080}],
        resources={"cpu": 0.5, "memory": "256M"},
    )
    port = {"container_port": 80, "host_port": 8080, "protocol": "tcp", "node_port": None}
    (item,) = (await admin.get("/containers"))["containers"]
    expected = {
        "id": task_id,
        "name": "web-1",
        "image": "nginx:latest",
        "status": "running",
        "node_id": "node-1",
        "created_at": "2025-06-15T15:06:40Z",
        "ip_address": "10.244.1.2",
        "ports": [port],
        "app": "web",
        "engine_id": f"engine-{task_id}",
        "restart_count": 0,
    }
    assert {name: item[name] for name in expected} == expected
    detail = await admin.get(f"/containers/{task_id}")
    assert {name: detail[name] for name in expected} == expected
    assert detail["environment"] == {"A": "1"}
    assert detail["volumes"] == [{"name": "data", "mount_path": "/data", "read_only": False}]
    assert detail["resources"] == {"cpu": 0.5, "memory": "256M", "cpu_limit": None, "memory_limit": None}
    assert detail["health"] == {"status": "healthy", "last_check": "2025-06-15T15:06:40Z"}


async def test_the_documented_filters(admin: Any, world: Any) -> None:
    web = await world.deploy("web")
    db = await world.deploy("db", replicas=1, running=False)
    for query, expected in (
        ("status=running", web),
        ("status=pending", db),
        ("node=node-1", web),
        ("app=db", db),
        ("app=db&status=running", []),
        ("health=healthy", web),
        ("limit=1", db),
        ("limit=1&offset=1", web[:1]),
        ("sort=name&order=desc", [*web[::-1], *db]),
    ):
        data = await admin.get(f"/containers?{query}")
        assert [c["id"] for c in data["containers"]] == expected, query
    assert (await admin.get("/containers?limit=2"))["total"] == 3
    picked = (await admin.get("/containers?app=db&fields=id,name,status"))["containers"]
    assert picked == [{"id": db[0], "name": "db-1", "status": "pending"}]


async def test_a_container_that_is_removed_is_stopping(admin: Any, world: Any) -> None:
    await world.deploy(replicas=1)
    await admin.send("DELETE", "/apps/web")
    assert [c["status"] for c in (await admin.get("/containers"))["containers"]] == ["stopping"]


async def test_logs_and_their_parameters(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy(replicas=1)
    path = f"/containers/{task_id}/logs"
    assert (await admin.get(path))["logs"] == "line 0\nline 1\nline 2\nline 3\nline 4\n"
    await admin.get(f"{path}?tail=10&since=2025-06-15T15:06:40Z&until=1750000005.5")
    assert world.containers.asked == {
        "tail": 10,
        "since_s": 1_750_000_000.0,
        "until_s": 1_750_000_005.5,
        "follow": False,
    }
    await admin.get(f"{path}?since=2025-06-15T17:06:40%2B02:00")
    assert world.containers.asked["since_s"] == 1_750_000_000.0
    for query in ("tail=-1", "tail=x", "since=yesterday", "until=nan", "follow=perhaps", "since=9&until=8", "lines=1"):
        status, error = await admin.send("GET", f"{path}?{query}")
        assert (status, query.split("=")[0] in error["message"] or "until" in error["message"]) == (400, True), query


async def test_logs_keep_the_newest_where_there_are_too_many(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy(replicas=1)
    world.containers.lines = [LogLine("stdout", 0.0, f"{i} " + "x" * 1_000_000) for i in range(10)]
    data = await admin.get(f"/containers/{task_id}/logs")
    assert data["truncated"] is True
    assert data["logs"].startswith("2 ")
    assert data["logs"].count("\n") == 8


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
async def test_followed_logs_stream(admin: Any, world: Any, accept: str) -> None:
    (task_id,) = await world.deploy(replicas=1)
    world.containers.lines = [LogLine("stderr", 1_750_000_000.0, "first")]
    client = world.app.test_client()
    url = f"/api/containers/{task_id}/logs?follow=true"
    with trio.fail_after(5):
        async with client.request(url, headers={**admin.headers, "Accept": accept}) as connection:
            await connection.send_complete()
            first = await connection.receive()
            await world.containers.live_send.send(LogLine("stdout", 1_750_000_001.0, "second"))
            second = await connection.receive()
            world.containers.live_send.close()
            response = await connection.as_response()
    assert response.status_code == 200
    if accept == "*/*":
        assert (first, second) == (b"first\n", b"second\n")
        assert response.headers["Content-Type"].startswith("text/plain")
    else:
        event, data, *_ = first.decode().split("\n")
        assert event == "event: log"
        assert json.loads(data.removeprefix("data: ")) == {
            "stream": "stderr",
            "timestamp": "2025-06-15T15:06:40Z",
            "message": "first",
        }
    with trio.fail_after(1):
        await world.containers.ended.wait()


async def test_faults_of_the_node(admin: Any, world: Any, gone: Any, unreachable: Any) -> None:
    """Also where a stream was asked for, the status tells."""
    (task_id,) = await world.deploy(replicas=1)
    for fault, expected in ((gone("no such container"), 404), (unreachable("node-1 does not answer"), 503)):
        world.containers.fault = fault
        for path in ("logs", "logs?follow=true", "stats"):
            status, error = await admin.send("GET", f"/containers/{task_id}/{path}")
            assert (status, error["message"]) == (expected, str(fault)), path
        assert (await admin.get(f"/containers/{task_id}"))["health"]["last_check"] is None


async def test_stats(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy(replicas=1)
    assert await admin.get(f"/containers/{task_id}/stats") == {
        "cpu_usage": 12.5,
        "memory_usage": 128_000_000,
        "memory_limit": 268_435_456,
        "network_rx": 1,
        "network_tx": 2,
        "block_read": 3,
        "block_write": 4,
        "timestamp": "2025-06-15T15:06:40Z",
    }


async def test_what_is_not_there(admin: Any, world: Any) -> None:
    (pending,) = await world.deploy(replicas=1, running=False)
    for path in ("/containers/x", "/containers/x/logs", "/containers/x/stats", f"/containers/{pending}/logs"):
        status, error = await admin.send("GET", path)
        assert (status, error["code"]) == (404, "resource_not_found"), path
    assert (await admin.get(f"/containers/{pending}"))["health"] == {"status": "unknown", "last_check": None}


async def test_container_health(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy(replicas=1)
    assert await admin.get(f"/health/container/{task_id}") == {
        "id": task_id,
        "status": "healthy",
        "last_check": "2025-06-15T15:06:40Z",
        "consecutive_failures": 0,
        "restart_count": 0,
        "health_history": [{"timestamp": "2025-06-15T15:06:40Z", "status": "healthy", "message": None}],
    }


async def test_system_health(admin: Any, make_client: Any, world: Any) -> None:
    anybody = make_client(world, {})
    task_ids = await world.deploy(replicas=2, service="web.local")
    good = await anybody.get("/health")
    component = {"status": "healthy", "total": 2, "healthy": 2, "unhealthy": 0}
    assert good["status"] == "healthy"
    assert good["components"]["containers"] == component
    assert good["components"]["nodes"] == {**component, "total": 1, "healthy": 1}
    assert good["components"]["services"] == {**component, "total": 1, "healthy": 1}
    assert good["alerts"] == {"critical": 0, "warning": 0, "info": 0}
    sick = TaskStatus(state=TaskState.RUNNING, health=Health.UNHEALTHY, engine_id="e", started_at_s=1.0)
    await world.report(task_ids[0], sick)
    assert (await anybody.get("/health"))["status"] == "degraded"
    await world.report(task_ids[1], sick)
    bad = await anybody.get("/health")
    assert bad["components"]["containers"]["status"] == "unhealthy"
    assert bad["components"]["services"] == {"status": "unhealthy", "total": 1, "healthy": 0, "unhealthy": 1}
    world.cluster.leader_id = None
    assert (await anybody.get("/health"))["status"] == "unhealthy"
