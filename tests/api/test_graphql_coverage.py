"""What REST can read, GraphQL can: compared by the route table, so that a new noun fails here until it has a field."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from api.graphql.schema import schema
from api.route import Route
from api.routes import all_routes

BYTES = "it is bytes or text as they are, not data"
ASKED_ELSEWHERE = "another node is asked for it at each call: a query is answered from the replica"
FIELDS = {
    "GET /apps": "apps",
    "GET /apps/{app_name}": "app",
    "GET /apps/{app_name}/history": "app.history",
    "GET /alerts": "alerts",
    "GET /alerts/{id}": "alert",
    "GET /deployments": "deployments",
    "GET /deployments/{id}": "deployment",
    "GET /deployments/{id}/status": "deployment.progress",
    "GET /jobs": "jobs",
    "GET /jobs/{name}": "job",
    "GET /jobs/{name}/runs": "job.runs",
    "GET /jobs/{name}/runs/{run_id}": "run",
    "GET /containers": "containers",
    "GET /containers/{container_id}": "container",
    "GET /containers/{container_id}/stats": "container.metrics",
    "GET /health": "health.components.containers",
    "GET /services": "services",
    "GET /services/{service_name}": "service",
    "GET /security/network-policies": "network_policies",
    "GET /security/network-policies/{policy_name}": "network_policy",
    "GET /backup-schedules": "backup_schedules",
    "GET /backup-schedules/{name}": "backup_schedule",
    "GET /volumes": "volumes",
    "GET /volumes/{volume_name}": "volume",
    "GET /volumes/{volume_name}/snapshots": "volume.snapshots",
    "GET /nodes": "nodes",
    "GET /nodes/{node_id}": "node",
    "GET /overlay": "overlay.nodes",
    "GET /priority-classes": "priority_classes",
    "GET /cluster": "cluster",
    "GET /config": "settings",
    "GET /config/{key}": "setting",
    "GET /auth/api-keys": "api_keys",
    "GET /users": "users",
    "GET /users/{user_id}": "user",
    "GET /groups": "groups",
    "GET /groups/{group_name}": "group",
    "GET /roles": "roles",
    "GET /roles/{role_name}": "role",
    "GET /audit": "audit",
    "GET /events": "events",
}
WITHOUT = {
    "GET /apps/{app_name}/logs": BYTES,
    "GET /containers/{container_id}/logs": BYTES,
    "GET /jobs/{name}/runs/{run_id}/logs": BYTES,
    "GET /backup-schedules/{name}/backups": "it is asked of the node that sees the store, not read of the state",
    "GET /volumes/{volume_name}/backup": BYTES,
    "GET /cluster/backup": BYTES,
    "GET /metrics": BYTES,
    "GET /openapi.json": "it describes REST; GraphQL has introspection",
    "GET /docs": "it describes REST; GraphQL has introspection",
    "GET /stream/events": "subscriptions stream events",
    "GET /cluster/token": "a secret is shown only to who asks for just that",
    "GET /cluster/keys": ASKED_ELSEWHERE,
    "GET /health/container/{container_id}": ASKED_ELSEWHERE + "; its present status is in Container.health",
    "GET /health/node/{node_id}": ASKED_ELSEWHERE + "; its present status and load are in Node",
    "GET /volumes/{volume_name}/usage": ASKED_ELSEWHERE,
}
READS = [route for route in all_routes() if route.reads]


@pytest.mark.parametrize("route", READS, ids=lambda route: route.name)
def test_each_read_has_a_field_or_a_reason(route: Route) -> None:
    assert (route.name in FIELDS) is not (route.name in WITHOUT)
    if route.name in WITHOUT:
        return
    kind: Any = schema().query_type
    for step in FIELDS[route.name].split("."):
        assert isinstance(kind, GraphQLObjectType)
        assert step in kind.fields, f"{kind.name} has no field {step!r}"
        kind = get_named_type(kind.fields[step].type)


def test_nothing_is_listed_that_is_gone() -> None:
    assert {*FIELDS, *WITHOUT} == {route.name for route in READS}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ api_keys { name created_by } }", {"api_keys": [{"name": "ci", "created_by": "admin"}]}),
        (
            '{ setting(id: "scheduler.strategy") { key default } }',
            {"setting": {"key": "scheduler.strategy", "default": "WorstFit"}},
        ),
        ("{ health { status components { nodes { total } } } }", None),
        ("{ overlay { ranges nodes { node_id mode } } }", None),
        ('{ app(id: "web") { history { number reason current } } }', None),
        ('{ events(types: ["container_created"], limit: 1) { type data } }', None),
    ],
)
async def test_the_newer_fields(world: Any, admin: Any, query: str, expected: Any) -> None:
    await world.deploy("web")
    await admin.send("POST", "/auth/api-keys", {"name": "ci"})
    status, body, _ = await admin.request("POST", "/graphql", {"query": query})
    assert (status, "errors" in body) == (200, False), body
    (found,) = body["data"].values()
    assert found
    if expected is not None:
        assert body["data"] == expected


async def test_past_events_are_those_of_rest(world: Any, admin: Any) -> None:
    await world.deploy("web")
    rest = (await admin.get("/events?limit=3"))["events"]
    query = "{ events(limit: 3) { id type data } }"
    assert (await admin.request("POST", "/graphql", {"query": query}))[1]["data"]["events"] == rest
    query = f'{{ events(since: "{rest[0]["id"]}", limit: 1) {{ id }} }}'
    assert (await admin.request("POST", "/graphql", {"query": query}))[1]["data"] == {"events": [{"id": rest[1]["id"]}]}
    for bad, told in (('since: "x"', "since"), ("limit: 0", "limit"), ('types: ["nothing"]', "types")):
        query = f"{{ events({bad}) {{ id }} }}"
        (error,) = (await admin.request("POST", "/graphql", {"query": query}))[1]["errors"]
        assert error["extensions"] == {"code": "invalid_request"}
        assert told in error["message"]


async def test_api_keys_of_others_are_not_there(world: Any, admin: Any, make_client: Any) -> None:
    _, made = await admin.send("POST", "/auth/api-keys", {"name": "ci"})
    vera = make_client(world, await world.login("vera"))
    query = f'{{ api_keys {{ name }} api_key(id: "{made["id"]}") {{ name }} }}'
    assert (await vera.request("POST", "/graphql", {"query": query}))[1]["data"] == {"api_keys": [], "api_key": None}
