"""Nodes, volumes, services, the cluster: api_reference.md, sections of these names."""

from __future__ import annotations

from typing import Any

from consensus import commands
from consensus.model.alert import Alert, Severity

GIB = 1 << 30


async def test_nodes(admin: Any, world: Any) -> None:
    await world.add_node("node-2")
    (task_id,) = await world.deploy(replicas=1)
    first, second = (await admin.get("/nodes"))["nodes"]
    expected = {
        "id": "node-1",
        "address": "10.0.0.1",
        "status": "ready",
        "role": "manager",
        "leader": True,
        "containers": 1,
        "resources": {
            "cpu_total": 4.0,
            "cpu_available": 3.0,
            "memory_total": 16 * GIB,
            "memory_available": 12 * GIB,
            "disk_total": 100 * GIB,
            "disk_available": 50 * GIB,
        },
    }
    assert {name: first[name] for name in expected} == expected
    assert (second["role"], second["resources"]["cpu_available"], second["containers"]) == ("worker", 0.0, 0)
    detail = await admin.get("/nodes/node-1")
    assert detail["containers"] == [{"id": task_id, "name": "web-1", "status": "running"}]
    assert detail["labels"] == {"zone": "zone1"}
    part = {"subnet": None, "overlay_status": "disabled", "overlay_message": "it is turned off", "capabilities": []}
    part["subnet6"] = None
    assert detail["network"] == part
    assert (await admin.get("/nodes?role=worker&fields=id"))["nodes"] == [{"id": "node-2"}]
    assert (await admin.get("/nodes?labels.zone=zone1"))["total"] == 2


async def test_maintenance_labels_removal_leave(admin: Any, world: Any, unreachable: Any) -> None:
    await world.deploy(replicas=1)
    assert await admin.send("POST", "/nodes/node-1/maintenance", {"enable": True, "drain": True}) == (
        200,
        {"id": "node-1", "message": "Node put into maintenance mode"},
    )
    detail = await admin.get("/nodes/node-1")
    assert (detail["status"], detail["maintenance"], detail["draining"]) == ("maintenance", True, True)
    await admin.send("POST", "/nodes/node-1/maintenance", {"enable": False})
    assert (await admin.get("/nodes/node-1"))["status"] == "ready"
    taints = [{"key": "special", "value": "true", "effect": "NoSchedule"}]
    assert (await admin.send("PUT", "/nodes/node-1/labels", {"labels": {"role": "db"}, "taints": taints}))[0] == 200
    assert (await admin.send("PUT", "/nodes/node-1/labels", {"labels": {"role": "web"}}))[0] == 200
    detail = await admin.get("/nodes/node-1")
    assert (detail["labels"], detail["taints"]) == ({"zone": "zone1", "role": "web"}, taints)
    status, error = await admin.send("PUT", "/nodes/node-1/labels", {"taints": [{"key": "k", "effect": "x"}]})
    assert (status, error["message"].startswith("taints[0].effect: expected")) == (400, True)
    assert (await admin.send("POST", "/nodes/node-1/leave"))[0] == 200
    assert world.nodes.left == ["node-1"]
    world.nodes.fault = unreachable("it does not answer")
    assert (await admin.send("POST", "/nodes/node-1/leave"))[0] == 503
    assert (await admin.send("DELETE", "/nodes/node-1"))[0] == 409
    assert (await admin.send("DELETE", "/nodes/node-1?force=true"))[0] == 200
    for method, path, body in (
        ("GET", "/nodes/node-1", None),
        ("DELETE", "/nodes/node-1", None),
        ("POST", "/nodes/node-1/maintenance", {"enable": True}),
        ("GET", "/health/node/node-1", None),
    ):
        assert (await admin.send(method, path, body))[0] == 404, path


async def test_node_health(admin: Any, world: Any) -> None:
    health = await admin.get("/health/node/node-1")
    entry = {
        "timestamp": "2025-06-15T15:06:40Z",
        "cpu_usage": 1.0,
        "memory_usage": 2.0,
        "disk_usage": 3.0,
        "network_status": "connected",
        "message": None,
    }
    assert health == {
        "id": "node-1",
        "status": "healthy",
        "last_seen": "2025-06-15T15:06:40Z",
        "cpu_usage": 25.0,
        "memory_usage": 25.0,
        "disk_usage": 50.0,
        "network_status": "connected",
        "container_count": 3,
        "health_history": [entry],
    }
    await world.add_node("node-2")
    away = await admin.get("/health/node/node-2")
    assert (away["cpu_usage"], away["network_status"], away["health_history"]) == (None, "disconnected", [])


async def test_volumes(admin: Any, world: Any) -> None:
    body = {"name": "data", "size": "10G", "type": "local", "labels": {"app": "db"}}
    assert await admin.send("POST", "/volumes/create", body) == (
        201,
        {"name": "data", "message": "Volume created successfully"},
    )
    assert (await admin.send("POST", "/volumes/create", body))[0] == 409
    for wrong, field in (
        ({"type": "tape"}, "type"),
        ({"type": "nfs", "server": "nas"}, "path"),
        ({"size": "big"}, "size"),
        ({"name": "A b"}, "name"),
        ({"x": 1}, "x"),
    ):
        status, error = await admin.send("POST", "/volumes/create", {"name": "other", **wrong})
        assert (status, error["message"].split(":")[0]) == (400, field)
    mounts = [{"name": "data", "mount_path": "/a"}, {"name": "made-on-use", "mount_path": "/b"}]
    (task_id,) = await world.deploy(replicas=1, volumes=mounts)
    (data, made) = (await admin.get("/volumes"))["volumes"]
    assert data == {
        "name": "data",
        "namespace": "default",
        "size": "10G",
        "type": "local",
        "labels": {"app": "db"},
        "created_at": "2025-06-15T15:06:40Z",
        "used_by": [task_id],
        "node_id": "node-1",
        "path": None,
        "server": None,
        "filesystem": None,
        "mount_options": None,
        "without_quota": "warn",
        "cloned_from": None,
        "snapshot": False,
    }
    assert made["name"] == "made-on-use"
    assert await admin.get("/volumes/data") == data
    status, error = await admin.send("POST", "/volumes/delete", {"name": "data"})
    assert (status, task_id in error["message"]) == (409, True)
    assert (await admin.send("POST", "/volumes/delete", {"name": "data", "force": True}))[0] == 200
    assert (await admin.send("DELETE", "/volumes/made-on-use?force=true"))[0] == 200
    assert (await admin.send("POST", "/volumes/delete", {"name": "data"}))[0] == 404
    assert (await admin.send("GET", "/volumes/data"))[0] == 404


async def test_services_follow_the_containers(admin: Any, world: Any) -> None:
    check = {"command": "true", "retries": 4}
    first, second = await world.deploy(service="web.local", ports=[{"container_port": 80}], health_check=check)
    (service,) = (await admin.get("/services"))["services"]
    assert (service["name"], service["domain"], service["apps"]) == ("web.local", "web.local", ["web"])
    assert service["load_balancing_strategy"] == "round-robin"
    assert service["endpoints"] == [
        {"container_id": first, "ip_address": "10.244.1.2", "port": 80},
        {"container_id": second, "ip_address": "10.244.1.3", "port": 80},
    ]
    detail = await admin.get("/services/web.local")
    assert detail["endpoints"][0] == {**service["endpoints"][0], "node_id": "node-1", "health": "healthy"}
    assert detail["health_check"]["unhealthy_threshold"] == 4
    await admin.send("POST", "/scale", {"name": "web", "replicas": 0})
    assert (await admin.get("/services/web.local"))["endpoints"] == []
    assert (await admin.send("GET", "/services/none"))[0] == 404


async def test_cluster_token_alerts_metrics(admin: Any, world: Any) -> None:
    cluster = await admin.get("/cluster")
    expected = {"id": "c1", "node_id": "node-1", "leader": "node-1", "voters": ["node-1"], "version": "1.2.3"}
    assert {name: cluster[name] for name in expected} == expected
    assert await admin.get("/cluster/token") == {"token": "hm1.abc.def"}
    alert = Alert(id="a1", severity=Severity.WARNING, resource="node/node-1", message="hot", created_at_s=0.0)
    await world.propose(commands.RaiseAlert(alert=alert))
    assert (await admin.get("/alerts?severity=warning"))["alerts"] == [
        {
            "id": "a1",
            "namespace": None,
            "severity": "warning",
            "resource": "node/node-1",
            "message": "hot",
            "status": "active",
            "created_at": "1970-01-01T00:00:00Z",
            "acknowledged_by": None,
            "acknowledged_at": None,
        }
    ]
    assert (await admin.get("/health"))["alerts"]["warning"] == 1
    answer = await world.app.test_client().get("/api/metrics", headers=admin.headers)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"hivemind_node_count 1" in await answer.get_data()


async def test_a_node_whose_replica_is_wrong_answers_nothing_from_it(admin: Any, world: Any) -> None:
    world.cluster.unfit = "the state of node node-1 differs"
    for path in ("/nodes", "/cluster", "/apps"):
        status, body = await admin.send("GET", path)
        assert (status, body["code"]) == (503, "unavailable")
        assert body["message"] == "the state of node node-1 differs"
    assert (await admin.get("/health"))["status"] == "unhealthy"
    world.cluster.unfit = None
    assert (await admin.get("/nodes"))["total"] == 1


async def test_the_leadership_is_sent_to_a_node(admin: Any, world: Any) -> None:
    await world.add_node("node-2")
    status, done = await admin.send("POST", "/cluster/transfer-leader", {"node": "node-2"})
    assert (status, done["leader"], done["previous_leader"]) == (200, "node-2", "node-1")
    assert (await admin.send("POST", "/cluster/transfer-leader", {"node": "node-2"}))[0] == 409
    assert (await admin.send("POST", "/cluster/transfer-leader", {"node": "node-9"}))[0] == 404
    status, error = await admin.send("POST", "/cluster/transfer-leader", {"nodes": "node-2"})
    assert (status, error["code"]) == (400, "invalid_request")


async def test_a_backup_is_what_the_node_writes_or_an_error(admin: Any, world: Any) -> None:
    answer = await world.app.test_client().get("/api/cluster/backup", headers=admin.headers)
    assert (answer.status_code, await answer.get_data(), answer.content_type) == (
        200,
        b"onetwo",
        "application/octet-stream",
    )
    world.cluster.leader_id = None
    status, error = await admin.send("GET", "/cluster/backup")
    assert (status, error["code"]) == (503, "storage_full")
