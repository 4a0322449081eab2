"""Permissions that are limited to namespaces: who has such a one sees and changes nothing outside, by any way."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from quart.testing.connections import WebsocketDisconnectError, WebsocketResponseError

from api.graphql.nouns import NOUNS
from api.route import NAMESPACED, Route, RouteTableError, check
from api.routes import all_routes
from consensus import commands
from consensus.namespaces import TABLES
from tests.api.conftest import Client, World
from tests.api.seeding import Seeded

ROUTES = all_routes()
SCOPED = [route for route in ROUTES if route.need.resource in NAMESPACED]
STREAMS = ("GET /stream/events",)


async def scoped(world: Any, *permissions: tuple[str, str, str], name: str = "nora") -> Client:
    """A user whose role has these permissions: verb, resource, scope."""
    admin = Client(world, await world.login())
    told = [{"verb": verb, "resource": resource, "scope": scope} for verb, resource, scope in permissions]
    assert (await admin.send("POST", "/roles", {"name": name, "permissions": told}))[0] == 201
    body = {"username": name, "password": f"{name}-password", "role": name}
    assert (await admin.send("POST", "/users", body))[0] == 201
    return Client(world, await world.login(name))


OURS = ("*", "*", "namespace/ours")


async def status_of(client: Client, route: Route, seeded: Seeded) -> tuple[int, str]:
    """Also the answer's text."""
    path = seeded.path(route)
    body = None if route.reads else seeded.body(route)
    # HEAD finds the same answer as GET without starting a stream.
    method = "HEAD" if route.reads and route.listing is None else route.method
    answer = await client._client.open(
        "/api" + path, method=method, headers=client.headers, **({} if body is None else {"json": body})
    )
    return int(answer.status_code), str(await answer.get_data(as_text=True))


@pytest.mark.parametrize("route", SCOPED, ids=lambda route: route.name)
async def test_every_route_keeps_a_scoped_permission_within_its_scope(world: Any, route: Route) -> None:
    ours, theirs = await Seeded(world, "ours").make(), await Seeded(world, "theirs").make()
    client = await scoped(world, OURS)
    before = world.machine.state
    status, text = await status_of(client, route, theirs)
    if route.place is not None or not route.reads:
        assert status == 403, (status, text)
        if text:
            message = json.loads(text)["error"]["message"]
            assert message.startswith(f"this needs permission {route.permission} in namespace/theirs"), message
        for table in TABLES:
            assert getattr(world.machine.state, table) == getattr(before, table)
    else:
        assert status == 200
        assert "theirs" not in text
        if route.listing is not None:
            assert "ours" in text
            assert json.loads(text)["data"]["total"] == json.loads(text)["data"]["pagination"]["total"] > 0
    if route.media_type != "application/json":
        return
    status, text = await status_of(client, route, ours)
    assert status != 403, text


async def test_what_is_in_no_namespace_takes_a_permission_for_everything(world: Any) -> None:
    await Seeded(world, "ours").make()
    client = await scoped(world, OURS)
    for path in ("/nodes", "/cluster", "/users", "/audit", "/security/network-policies", "/metrics"):
        assert (await client.request("GET", path))[0] == 403
    hot = commands.RaiseAlert(_alert("hot", "node/node-1"))
    await world.propose(hot)
    assert (await client.get("/alerts"))["total"] == 1
    status, error = await client.send("GET", "/alerts/hot")
    assert (status, error["message"].partition(",")[0]) == (403, "this needs permission alerts:read everywhere")


def _alert(alert_id: str, resource: str) -> Any:
    from consensus.model.alert import Alert, Severity

    return Alert(id=alert_id, severity=Severity.INFO, resource=resource, message="m", created_at_s=1.0)


async def test_a_tenant_that_there_is_not_has_no_namespaces(world: Any) -> None:
    await Seeded(world, "ours").make()
    client = await scoped(world, ("*", "*", "tenant/finance"))
    assert (await client.send("GET", "/apps"))[0] == 403


async def test_a_batch_gives_no_more_than_its_operations_do(world: Any) -> None:
    theirs = await Seeded(world, "theirs").make()
    client = await scoped(world, OURS)
    operations = [
        {"method": "POST", "path": "/scale", "body": {"name": theirs.app, "replicas": 1}},
        {"method": "GET", "path": f"/apps/{theirs.app}"},
        {"method": "POST", "path": "/deploy", "body": {"name": "x", "image": "x", "namespace": "ours"}},
    ]
    results = (await client.send("POST", "/batch", {"operations": operations}))[1]["results"]
    assert [result["status"] for result in results] == [403, 403, 201]
    both = [operations[2] | {"body": {"name": "y", "image": "x", "namespace": "ours"}}, operations[0]]
    status, error = await client.send("POST", "/batch", {"operations": both, "atomic": True})
    assert (status, error["code"]) == (403, "permission_denied")
    assert error["message"].startswith("operation 1: this needs permission apps:update in namespace/theirs")
    assert "y" not in world.machine.state.apps


async def test_what_a_batch_makes_is_looked_at_when_its_turn_comes(world: Any) -> None:
    """Before the batch there is no app of that name, so that nothing could be said of its namespace."""
    client = await scoped(world, ("create", "apps", "namespace/ours"), ("update", "apps", "namespace/other"))
    operations = [
        {"method": "POST", "path": "/deploy", "body": {"name": "x", "image": "x", "namespace": "ours"}},
        {"method": "POST", "path": "/scale", "body": {"name": "x", "replicas": 3}},
    ]
    status, error = await client.send("POST", "/batch", {"operations": operations, "atomic": True})
    assert (status, error["message"].partition(";")[0]) == (
        403,
        "operation 1: this needs permission apps:update in namespace/ours",
    )
    assert not world.machine.state.apps


async def test_a_cached_answer_is_of_those_with_the_same_reach(world: Any, admin: Any) -> None:
    await Seeded(world, "theirs").make()
    client = await scoped(world, OURS)
    assert (await admin.get("/apps"))["total"] == 1
    assert (await client.get("/apps"))["total"] == 0
    assert (await admin.get("/apps"))["total"] == 1


async def test_nothing_refers_to_another_namespace_or_moves_to_one(world: Any, admin: Any) -> None:
    theirs = await Seeded(world, "theirs").make()
    own = {"name": "x", "image": "x", "namespace": "ours"}
    mounts = [{"name": theirs.volume, "mount_path": "/x"}]
    for body in ({**own, "volumes": mounts}, {**own, "service": theirs.service}):
        status, error = await admin.send("POST", "/deploy", body)
        assert (status, "is not in namespace 'ours'" in error["message"]) == (409, True)
    assert (await admin.send("POST", "/jobs", {**own, "volumes": mounts}))[0] == 409
    spec = {"name": theirs.app, "image": "x", "namespace": "ours"}
    status, error = await admin.send("PUT", f"/apps/{theirs.app}", spec)
    assert (status, error["message"].partition(";")[0]) == (409, f"namespace: {theirs.app!r} is in 'theirs'")
    assert (await admin.send("PUT", f"/jobs/{theirs.job}", {**spec, "name": theirs.job}))[0] == 409


async def test_a_node_shows_only_the_containers_that_its_reader_may_see(world: Any) -> None:
    ours, theirs = await Seeded(world, "ours").make(), await Seeded(world, "theirs").make()
    client = await scoped(world, ("read", "nodes", "*"), ("read", "containers", "namespace/ours"))
    shown = [one["id"] for one in (await client.get("/nodes/node-1"))["containers"]]
    assert ours.container in shown
    assert theirs.container not in shown
    assert (await client.send("POST", "/nodes/node-1/maintenance", {"enable": True, "drain": True}))[0] == 403
    await world.propose(commands.SetMaintenance(node_id="node-1", enable=True, drain=True))
    assert "theirs" not in json.dumps(await client.get("/nodes/node-1"))


async def test_a_dry_run_in_another_namespace_is_refused(world: Any) -> None:
    client = await scoped(world, OURS)
    status, error = await client.send("POST", "/deploy?dry_run=true", {"name": "x", "image": "x", "namespace": "b"})
    assert (status, error["code"]) == (403, "permission_denied")


async def test_an_event_socket_tells_of_its_own_namespace_and_ends_with_the_permission(
    make_world: Any,
) -> None:
    world = make_world(heartbeat_s=0.05)
    await world.found()
    client = await scoped(world, OURS)
    admin = Client(world, await world.login())
    token = client.headers["Authorization"].removeprefix("Bearer ")
    async with world.app.test_client().websocket(f"/api/ws?token={token}&since=e1.0.0") as socket:
        await Seeded(world, "theirs").make()
        await Seeded(world, "ours").make()
        with trio.fail_after(5):
            seen = [await socket.receive()]
            while "ours-alert" not in seen[-1]:
                seen.append(await socket.receive())
            assert not [text for text in seen if "theirs" in text or "node_joined" in text]
            permissions = {"permissions": [{"verb": "read", "resource": "apps"}]}
            assert (await admin.send("PUT", "/roles/nora", permissions))[0] == 200
            with pytest.raises(WebsocketDisconnectError) as caught:
                await _read_on(socket)
            assert caught.value.args == (4401,)


async def _read_on(socket: Any) -> None:
    while True:
        await socket.receive()


async def test_a_subscription_tells_of_its_own_namespace(world: Any) -> None:
    client = await scoped(world, OURS)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    async with world.app.test_client().websocket(
        f"/api/graphql?token={token}", headers={"Sec-WebSocket-Protocol": "graphql-transport-ws"}
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        query = 'subscription { events(since: "e1.0.0") { id type data } }'
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
        await Seeded(world, "theirs").make()
        await Seeded(world, "ours").make()
        with trio.fail_after(5):
            text = await socket.receive()
            while "ours-alert" not in text:
                assert "theirs" not in text
                text = await socket.receive()


async def test_exec_in_another_namespace_is_refused(world: Any) -> None:
    theirs, ours = await Seeded(world, "theirs").make(), await Seeded(world, "ours").make()
    token = (await scoped(world, OURS)).headers["Authorization"].removeprefix("Bearer ")
    client = world.app.test_client()
    async with client.websocket(f"/api/containers/{ours.container}/exec?command=true&token={token}") as socket:
        await socket.send(b"")
    async with client.websocket(f"/api/containers/{theirs.container}/exec?command=true&token={token}") as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == 403
    assert world.containers.command.command == ["true"]


def test_a_route_that_does_not_say_how_it_heeds_scopes_is_refused() -> None:
    route = next(route for route in ROUTES if route.name == "GET /containers/{container_id}/logs")
    with pytest.raises(RouteTableError, match="in which namespace"):
        check([replace(route, owner=None)])


VERB_AND_RESOURCE = st.sampled_from([("read", "*"), ("*", "*"), ("read", "apps"), ("read", "containers")])


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    held=st.sets(st.sampled_from(["aa", "bb", "cc"]), min_size=1),
    verb_and_resource=VERB_AND_RESOURCE,
    there=st.lists(st.sampled_from(["aa", "bb", "cc"]), min_size=1, max_size=3, unique=True),
)
def test_no_view_has_anything_from_outside_the_scope(
    held: set[str], verb_and_resource: tuple[str, str], there: list[str]
) -> None:
    """Lists, the past events and GraphQL with all its nouns, one level nested."""

    async def run() -> None:
        world = World()
        await world.found()
        for namespace in there:
            await Seeded(world, namespace).make()
        client = await scoped(world, *((*verb_and_resource, f"namespace/{namespace}") for namespace in sorted(held)))
        outside = [f"{namespace}-" for namespace in {"aa", "bb", "cc"} - held]
        texts = []
        for route in SCOPED:
            if route.reads and "{" not in route.path and route.name not in STREAMS:
                texts.append(await (await client._client.get("/api" + route.path, headers=client.headers)).get_data())
        query = "{" + " ".join(f"{noun.plural} {{ {_fields(noun.plural)} }}" for noun in NOUNS) + "}"
        answer = await client._client.post("/api/graphql", json={"query": query}, headers=client.headers)
        texts.append(await answer.get_data())
        for text in texts:
            assert not [name for name in outside if name in text.decode()], text

    trio.run(run)


def _fields(plural: str) -> str:
    """All scalars of the noun, and the ids of what it leads to."""
    from graphql import get_named_type, is_object_type

    from api.graphql.schema import schema

    query = schema().query_type
    assert query is not None
    found = []
    noun: Any = get_named_type(query.fields[plural].type)
    for name, field in noun.fields.items():
        inner: Any = get_named_type(field.type)
        if not is_object_type(inner):
            found.append(name)
        else:
            scalars = [n for n, f in inner.fields.items() if not is_object_type(get_named_type(f.type))]
            found.append(f"{name} {{ {' '.join(scalars)} }}")
    return " ".join(found)
