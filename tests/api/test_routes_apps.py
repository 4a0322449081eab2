"""Deploy, apps, scale, restart: api_reference.md, "Applications"."""

from __future__ import annotations

from typing import Any

REFERENCE_DEPLOY: dict[str, Any] = {
    "image": "nginx:latest",
    "name": "web-server",
    "service": "web.local",
    "replicas": 2,
    "resources": {"cpu": 0.5, "memory": "256M", "cpu_limit": 1.0, "memory_limit": "512M"},
    "env": {"ENV_VAR1": "value1", "ENV_VAR2": "value2"},
    "volumes": [{"name": "data-volume", "mount_path": "/data"}],
    "ports": [{"container_port": 80, "host_port": 8080, "protocol": "tcp"}],
    "health_check": {
        "command": "curl -f http://localhost/",
        "interval": "30s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "60s",
    },
    "node_affinity": "role=frontend",
    "service_affinity": "app=api",
    "priority_class": "high-priority",
}


async def test_the_references_deploy_is_answered_as_it_says(admin: Any, world: Any) -> None:
    status, data = await admin.send("POST", "/deploy", REFERENCE_DEPLOY)
    assert status == 201
    assert data == {
        "app_id": "web-server",
        "container_ids": [task.id for task in world.machine.state.tasks_of_app("web-server")],
        "service_id": "web.local",
        "message": "Application deployed successfully",
    }
    assert len(data["container_ids"]) == 2


async def test_every_field_of_a_deploy_comes_back(admin: Any) -> None:
    await admin.send("POST", "/deploy", REFERENCE_DEPLOY)
    detail = await admin.get("/apps/web-server")
    for name, value in REFERENCE_DEPLOY.items():
        if name == "volumes":
            value = [{**mount, "read_only": False} for mount in value]
        if name == "ports":
            value = [{**port, "node_port": None} for port in value]
        if name == "health_check":
            value = {"http": None, "tcp": None, **value}
        assert detail[name] == value, name
    assert [c["status"] for c in detail["containers"]] == ["pending", "pending"]
    assert detail["created_at"] == "2025-06-15T15:06:40Z"


async def test_a_second_deploy_of_a_name_is_a_conflict_that_names_the_way(admin: Any) -> None:
    await admin.send("POST", "/deploy", {"name": "web", "image": "x"})
    status, error = await admin.send("POST", "/deploy", {"name": "web", "image": "x"})
    assert (status, error["code"]) == (409, "resource_conflict")
    assert "PUT /apps/web" in error["message"]


async def test_a_wrong_field_is_named_by_its_path(admin: Any) -> None:
    spec = {"name": "web", "image": "x", "ports": [{"container_port": "eighty"}]}
    status, error = await admin.send("POST", "/deploy", spec)
    assert (status, error["code"]) == (400, "invalid_request")
    assert error["message"] == "ports[0].container_port: expected `int`, got `str`"
    status, error = await admin.send("POST", "/deploy", {"name": "web"})
    assert (status, error["message"]) == (400, "image: required, but missing")
    status, error = await admin.send("POST", "/deploy", {"name": "web", "image": "x", "ports": [{"port": 1}]})
    assert (status, error["message"]) == (
        400,
        "ports[0].port: unknown field; there are: container_port, host_port, protocol",
    )
    status, error = await admin.send("POST", "/deploy", {"name": "w", "image": "x", "resources": {"memory": "lots"}})
    assert (status, error["message"]) == (400, "resources.memory: expected a size such as 256M or 1Gi, got 'lots'")


async def test_scale_restart_delete(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=2)
    assert await admin.send("POST", "/scale", {"name": "web", "replicas": 5}) == (
        200,
        {
            "name": "web",
            "previous_replicas": 2,
            "new_replicas": 5,
            "message": "Application scaled successfully",
        },
    )
    assert await admin.send("POST", "/restart", {"name": "web"}) == (
        200,
        {"name": "web", "message": "Application restarted successfully"},
    )
    assert (await admin.get("/apps/web"))["generation"] == 2
    assert await admin.send("DELETE", "/apps/web") == (
        200,
        {"name": "web", "message": "Application deleted successfully"},
    )
    for method, path, body in (
        ("POST", "/scale", {"name": "web", "replicas": 1}),
        ("POST", "/restart", {"name": "web"}),
        ("DELETE", "/apps/web", None),
        ("GET", "/apps/web", None),
    ):
        status, error = await admin.send(method, path, body)
        assert (status, error["code"]) == (404, "resource_not_found"), path


async def test_the_list_has_the_references_fields(admin: Any, world: Any) -> None:
    await world.deploy("web", service="web.local")
    (app,) = (await admin.get("/apps"))["apps"]
    assert {k: app[k] for k in ("name", "image", "replicas", "service", "created_at")} == {
        "name": "web",
        "image": "nginx:latest",
        "replicas": 2,
        "service": "web.local",
        "created_at": "2025-06-15T15:06:40Z",
    }
    assert (app["running_replicas"], app["status"]) == (2, "running")
