"""GraphQL: api_reference.md, "GraphQL API"; the spec of October 2021; graphql-transport-ws."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from graphql import get_introspection_query
from quart.testing.connections import WebsocketDisconnectError

from consensus import commands

REFERENCE = (
    'query { containers(status: "running") { id name image status node { id name }'
    " metrics { cpu_usage memory_usage } } }"
)


async def ask(client: Any, query: str, **more: Any) -> Any:
    status, body, _ = await client.request("POST", "/graphql", {"query": query, **more})
    assert status == 200, body
    return body


async def test_the_references_query(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy("web-server", replicas=1)
    await world.deploy("other", replicas=1, running=False)
    assert await ask(admin, REFERENCE) == {
        "data": {
            "containers": [
                {
                    "id": task_id,
                    "name": "web-server-1",
                    "image": "nginx:latest",
                    "status": "running",
                    "node": {"id": "node-1", "name": "node-1"},
                    "metrics": {"cpu_usage": 12.5, "memory_usage": 128_000_000},
                }
            ]
        }
    }


async def test_nested_both_ways_with_the_filters_of_rest(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=3, service="front", volumes=[{"name": "data", "mount_path": "/data"}])
    await world.deploy("api", replicas=1)
    query = """{
      apps(sort: "name", order: "desc", limit: 1) {
        name replicas resources { cpu } env service_name
        service { name endpoints { port health } apps { name } }
        containers(limit: 2, offset: 1) { name app { name } service { name } volumes { mount_path } }
      }
      nodes { id resources { memory_total } containers(app: "web", status: "running") { name node { id } } }
      volumes { name containers { app_name } }
      container(id: "none") { id }
      app(id: "api") { name labels }
      cluster { id leader }
    }"""
    data = (await ask(admin, query))["data"]
    (app,) = data["apps"]
    assert (app["name"], app["service_name"], app["service"]["name"]) == ("web", "front", "front")
    assert [c["name"] for c in app["containers"]] == ["web-2", "web-3"]
    assert app["containers"][0]["volumes"] == [{"mount_path": "/data"}]
    assert data["nodes"][0]["resources"]["memory_total"] == 16 << 30
    assert sorted(c["name"] for c in data["nodes"][0]["containers"]) == ["web-1", "web-2", "web-3"]
    assert len(data["volumes"][0]["containers"]) == 3
    assert data["container"] is None
    assert data["app"] == {"name": "api", "labels": {}}
    assert data["cluster"] == {"id": "c1", "leader": "node-1"}


async def test_a_container_whose_node_does_not_say_has_no_metrics(admin: Any, world: Any, unreachable: Any) -> None:
    await world.deploy("web", replicas=1)
    world.containers.fault = unreachable("away")
    data = (await ask(admin, REFERENCE))["data"]
    assert data["containers"][0]["metrics"] is None


async def test_every_field_can_be_read(admin: Any, world: Any) -> None:
    """All scalar fields of all nouns, from the schema itself."""
    await world.deploy("web", replicas=1, volumes=[{"name": "data", "mount_path": "/data"}])
    body = await ask(admin, get_introspection_query())
    types = {t["name"]: t for t in body["data"]["__schema"]["types"]}

    def leaf(kind: Any) -> Any:
        return leaf(kind["ofType"]) if kind["ofType"] else kind

    def select(name: str, depth: int) -> str:
        words = []
        for field in types[name]["fields"]:
            kind = leaf(field["type"])
            if kind["kind"] == "SCALAR":
                words.append(field["name"])
            elif depth and not any(a["name"] == "limit" for a in field["args"]):
                words.append(f"{field['name']} {select(kind['name'], depth - 1)}")
        return "{ " + " ".join(words or ["__typename"]) + " }"

    for field in types["Query"]["fields"]:
        if not any(a["name"] == "id" for a in field["args"]):
            body = await ask(admin, f"{{ {field['name']} {select(leaf(field['type'])['name'], 2)} }}")
            assert "errors" not in body, body["errors"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ containers { id ", "Syntax Error"),
        ("{ nothing { id } }", "Cannot query field"),
        ("{ apps { name { x } } }", "must not have a selection"),
        ("{ apps { containers { node { containers { id } } } } }", "costs"),
        (
            "{ nodes(limit: 1) { " + "containers(limit: 1) { node { " * 5 + "id" + " } }" * 5 + " } }",
            "levels deep",
        ),
        ("{ apps { ...A } } fragment A on App { service { apps { ...A } } }", "fragment"),
        ("subscription { events { id } }", ""),
        ("{ " + "cluster { id } " * 1000 + "}", "Syntax Error"),
    ],
)
async def test_what_is_refused_before_anything_is_done(admin: Any, query: str, told: str) -> None:
    status, body, _ = await admin.request("POST", "/graphql", {"query": query})
    assert status == 400
    if told:
        assert told in body["errors"][0]["message"]


async def test_bad_arguments_are_graphqls_errors(admin: Any) -> None:
    body = await ask(admin, '{ apps(sort: "colour") { name } }')
    assert body["errors"][0]["extensions"] == {"code": "invalid_request"}
    assert "colour" in body["errors"][0]["message"]


async def test_variables_and_operation_names(admin: Any, world: Any) -> None:
    await world.deploy("web")
    query = "query A($app: String, $n: Int) { containers(app: $app, limit: $n) { name } } query B { apps { name } }"
    body = await ask(admin, query, variables={"app": "web", "n": 1}, operationName="A")
    assert body["data"] == {"containers": [{"name": "web-1"}]}
    assert (await ask(admin, query, operationName="B"))["data"] == {"apps": [{"name": "web"}]}
    assert (await admin.request("POST", "/graphql", {"query": query}))[0] == 400


async def test_nobody_sees_by_graphql_what_rest_does_not_show(world: Any, admin: Any, make_client: Any) -> None:
    vera = make_client(world, await world.login("vera"))
    body = await ask(vera, "{ users { username } }")
    assert body["data"] is None
    assert body["errors"][0]["extensions"] == {"code": "permission_denied"}
    for query in (
        "{ roles { name } }",
        "{ groups { name } }",
        "{ audit { action } }",
        '{ role(id: "admin") { name } }',
    ):
        assert (await ask(vera, query))["errors"][0]["extensions"]["code"] == "permission_denied"
    assert [u["username"] for u in (await ask(admin, "{ users { username } }"))["data"]["users"]] == [
        "admin",
        "olga",
        "vera",
    ]
    await admin.send("POST", "/roles", {"name": "r", "permissions": [{"verb": "read", "resource": "apps"}]})
    await admin.send("POST", "/users", {"username": "rob", "password": "rob-password", "role": "r"})
    await world.deploy("web")
    rob = make_client(world, await world.login("rob"))
    assert (await ask(rob, "{ apps { name } }"))["data"] == {"apps": [{"name": "web"}]}
    assert "errors" in await ask(rob, "{ apps { name containers { id } } }")


async def test_long_queries_leave_the_loop_free(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=100)
    body = await ask(admin, "{ containers { id name image status node { id address } app { name service { name } } } }")
    assert len(body["data"]["containers"]) == 100


def socket(world: Any, token: str) -> Any:
    return world.app.test_client().websocket(
        f"/api/graphql?token={token}", headers={"Sec-WebSocket-Protocol": "graphql-transport-ws"}
    )


async def test_queries_and_subscriptions_over_a_websocket(world: Any, admin: Any) -> None:
    token = admin.headers["Authorization"].split()[1]
    with trio.fail_after(10):
        async with socket(world, token) as ws:

            async def tell(**message: Any) -> None:
                await ws.send(json.dumps(message))

            async def hear() -> Any:
                return json.loads(await ws.receive())

            await tell(type="connection_init")
            assert await hear() == {"type": "connection_ack"}
            await tell(type="ping")
            assert await hear() == {"type": "pong"}
            await tell(type="subscribe", id="q", payload={"query": "{ apps { name } }"})
            assert await hear() == {"type": "next", "id": "q", "payload": {"data": {"apps": []}}}
            assert await hear() == {"type": "complete", "id": "q"}
            await tell(type="subscribe", id="bad", payload={"query": "{ x }"})
            assert (await hear())["type"] == "error"
            query = "subscription ($types: [String!]) { events(types: $types) { id type data } }"
            variables = {"types": ["service.updated"]}
            await tell(type="subscribe", id="s", payload={"query": query, "variables": {"types": 1}})
            assert (await hear())["type"] == "error"
            await tell(type="subscribe", id="s", payload={"query": query, "variables": variables})
            await tell(type="ping")
            await hear()
            await world.propose(commands.CreateVolume(volume=_volume()))
            await world.deploy("web")
            news = await hear()
            assert news["id"] == "s"
            event = news["payload"]["data"]["events"]
            assert (event["type"], event["data"]["app"]) == ("service_updated", "web")
            await tell(type="complete", id="s")
            await tell(type="subscribe", id="s", payload={"query": query, "variables": {"types": ["colour.updated"]}})
            while (told := await hear())["type"] == "next":
                assert told["payload"]["data"]["events"]["type"] == "service_updated"
            assert told["payload"][0]["extensions"] == {"code": "invalid_request"}
            await tell(type="connection_init")
            with pytest.raises(WebsocketDisconnectError) as closed:
                await ws.receive()
            assert closed.value.args[0] == 4429


def _volume() -> Any:
    from consensus.model.volume import Volume

    return Volume(name="v", created_at_s=0.0)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "subscribe", "id": "1", "payload": {"query": "{ apps { name } }"}}], 4401),
        ([{"type": "connection_init"}, {"type": "frob"}], 4400),
        ([{"type": "connection_init"}, {"type": "subscribe", "id": "1", "payload": {}}], 4400),
    ],
)
async def test_the_protocols_close_codes(world: Any, admin: Any, messages: list[Any], code: int) -> None:
    token = admin.headers["Authorization"].split()[1]
    codes: list[int] = []
    with trio.fail_after(5):
        async with socket(world, token) as ws:
            for message in messages:
                await ws.send(json.dumps(message))
            while not codes:
                try:
                    await ws.receive()
                except WebsocketDisconnectError as closed:
                    codes.append(closed.args[0])
    assert codes == [code]


async def test_who_may_do_what_and_who_did_what(admin: Any) -> None:
    await admin.send("POST", "/roles", {"name": "r", "permissions": [{"verb": "read", "resource": "apps"}]})
    await admin.send("POST", "/groups", {"name": "g", "roles": ["r"], "members": ["vera"]})
    query = """{
        roles(limit: 4) { name built_in permissions { verb resource } }
        role(id: "r") { name } none: role(id: "x") { name }
        groups { name roles members }
        audit(action: "POST /groups") { id action outcome } none_such: audit_record(id: "x") { id }
        priority_classes(built_in: "true", sort: "value", order: "desc", limit: 1) { name value }
    }"""
    data = (await ask(admin, query))["data"]
    assert [role["name"] for role in data["roles"] if not role["built_in"]] == ["r"]
    assert data["roles"][-1]["permissions"] == [{"verb": "read", "resource": "apps"}]
    assert (data["role"], data["none"], data["none_such"]) == ({"name": "r"}, None, None)
    assert data["groups"] == [{"name": "g", "roles": ["r"], "members": ["vera"]}]
    (record,) = data["audit"]
    assert (record["action"], record["outcome"]) == ("POST /groups", "done")
    assert (await ask(admin, f'{{ audit_record(id: "{record["id"]}") {{ action }} }}'))["data"]["audit_record"]
    assert data["priority_classes"][0]["value"] > 0
