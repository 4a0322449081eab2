"""POST /batch: api_reference.md, "Batch Operations"."""

from __future__ import annotations

from typing import Any

DEPLOY = {"method": "POST", "path": "/deploy", "body": {"image": "nginx:latest", "name": "web-server"}}
VOLUME = {"method": "POST", "path": "/volumes/create", "body": {"name": "data-volume"}}


async def test_the_references_batch(admin: Any, world: Any) -> None:
    status, data = await admin.send("POST", "/batch", {"operations": [DEPLOY, VOLUME]})
    assert status == 200
    first, second = data["results"]
    assert first["success"] is True
    assert first["data"]["app_id"] == "web-server"
    assert first["data"]["container_ids"] == list(world.machine.state.tasks)
    assert second == {
        "success": True,
        "status": 201,
        "data": {"name": "data-volume", "message": "Volume created successfully"},
    }


async def test_each_operation_is_answered_on_its_own_and_in_order(world: Any, make_client: Any) -> None:
    olga = make_client(world, await world.login("olga"))
    operations = [
        DEPLOY,
        DEPLOY,
        {"method": "GET", "path": "/users"},
        {"method": "GET", "path": "/apps?fields=name"},
        {"method": "GET", "path": "/nothing"},
        {"method": "POST", "path": "/scale", "body": {"name": "web-server"}},
        {"method": "POST", "path": "/batch", "body": {"operations": []}},
        {"method": "GET", "path": "/stream/events"},
        {"method": "GET", "path": "/apps/a%2Fb"},
        {"method": "DELETE", "path": "/apps/web-server"},
    ]
    _, data = await olga.send("POST", "/batch", {"operations": operations})
    assert [r["status"] for r in data["results"]] == [201, 409, 403, 200, 404, 400, 400, 400, 404, 200]
    assert data["results"][2]["error"]["code"] == "permission_denied"
    assert data["results"][3]["data"]["apps"] == [{"name": "web-server"}]
    assert "'a/b'" in data["results"][8]["error"]["message"]


async def test_an_atomic_batch_is_one_entry(admin: Any, world: Any) -> None:
    index = world.machine.index
    scale = {"method": "POST", "path": "/scale", "body": {"name": "web-server", "replicas": 3}}
    status, data = await admin.send("POST", "/batch", {"atomic": True, "operations": [DEPLOY, VOLUME, scale]})
    assert status == 200
    assert world.machine.index == index + 1
    assert [r["status"] for r in data["results"]] == [201, 201, 200]
    assert data["results"][2]["data"]["previous_replicas"] == 1
    assert len(set(world.machine.state.tasks)) == 3
    assert (await admin.get("/audit"))["records"][0]["target"] == "POST /deploy, POST /volumes/create, POST /scale"


async def test_an_atomic_batch_does_all_or_nothing(admin: Any, world: Any) -> None:
    events = world.machine.events.newest
    cases = [
        ([DEPLOY, VOLUME, {"method": "POST", "path": "/restart", "body": {"name": "none"}}], 404, "operation 2: "),
        ([DEPLOY, DEPLOY], 409, "operation 1: "),
        ([DEPLOY, {"method": "GET", "path": "/apps"}], 400, "operation 1: "),
        ([DEPLOY, {"method": "POST", "path": "/nodes/node-1/leave"}], 400, "operation 1: "),
        ([{"method": "POST", "path": "/scale", "body": {}}, DEPLOY], 400, "operation 0: name"),
    ]
    for operations, expected, words in cases:
        status, error = await admin.send("POST", "/batch", {"atomic": True, "operations": operations})
        assert status == expected
        assert error["message"].startswith(words)
        assert error["message"].endswith("nothing was done")
    assert not world.machine.state.apps
    assert not world.machine.state.volumes
    assert world.machine.events.newest == events
    assert world.nodes.left == []


async def test_a_retried_batch_acts_once(admin: Any, world: Any) -> None:
    for atomic in (False, True):
        deploy = {**DEPLOY, "body": {"image": "x", "name": f"web-{atomic}".lower()}}
        body = {"operations": [deploy], "atomic": atomic}
        key = {"Idempotency-Key": f"k-{atomic}"}
        answers = [await admin.request("POST", "/batch", body, **key) for _ in range(2)]
        assert answers[0][1] == answers[1][1]
        assert answers[0][1]["data"]["results"][0]["status"] == 201
    assert len(world.machine.state.tasks) == 2


async def test_limits(world: Any, make_client: Any, make_world: Any) -> None:
    admin = make_client(world, await world.login())
    assert (await admin.send("POST", "/batch", {"operations": [VOLUME] * 101}))[0] == 400
    assert (await admin.send("POST", "/batch", {"operations": []}))[0] == 400
    strict = make_world(requests_per_user_per_hour=10)
    await strict.found()
    admin = make_client(strict, await strict.login())
    listing = {"method": "GET", "path": "/apps"}
    assert (await admin.send("POST", "/batch", {"operations": [listing] * 8}))[0] == 200
    assert (await admin.send("POST", "/batch", {"operations": [listing] * 8}))[0] == 429
