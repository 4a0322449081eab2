"""Every kind of error, in the reference's envelope: api_reference.md, "Error Codes" and "Rate Limiting"."""

from __future__ import annotations

from typing import Any

import pytest

from api.errors import InternalError, translate
from consensus.errors import OutcomeUnknown, Unavailable


async def test_unknown_path_and_method(admin: Any) -> None:
    status, body, _ = await admin.request("GET", "/nothing/here")
    assert (status, body["success"], body["error"]["code"]) == (404, False, "resource_not_found")
    status, body, headers = await admin.request("PATCH", "/apps")
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")
    assert headers["Allow"] == "GET, HEAD"
    for path in ("/apps/", "//apps", "/apps/a/b/c", "/containers/%2e%2e"):
        assert (await admin.send("GET", path))[0] == 404, path


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"name": "web", }', "JSON is malformed: trailing comma in object (byte 16)"),
        (b"", "expected a JSON body, got none"),
        (b"[]", "expected `object`, got `array`"),
        (b'{"name": "a\xff"}', "byte"),
        (b"[" * 100_000, "expected"),
        (b'{"name": 1}', "name: expected `str`, got `int`"),
    ],
)
async def test_bad_bodies_are_400_and_say_what(admin: Any, world: Any, body: bytes, told: str) -> None:
    headers = {**admin.headers, "Content-Type": "application/json"}
    answer = await world.app.test_client().post("/api/restart", data=body, headers=headers)
    error = (await answer.get_json())["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request"), error
    assert told in error["message"]


async def test_another_media_type_is_415(admin: Any, world: Any) -> None:
    headers = {**admin.headers, "Content-Type": "text/yaml"}
    answer = await world.app.test_client().post("/api/restart", data=b"name: x", headers=headers)
    assert answer.status_code == 415
    assert (await answer.get_json())["error"]["code"] == "unsupported_media_type"


async def test_a_body_that_is_too_large_is_413(make_world: Any, make_client: Any) -> None:
    world = make_world(body_limit_bytes=100)
    await world.found()
    client = make_client(world, await world.login())
    status, error = await client.send("POST", "/restart", {"name": "x" * 100})
    assert (status, error["code"]) == (413, "payload_too_large")


async def test_no_leader_is_503_with_a_time_to_come_back(admin: Any, world: Any) -> None:
    async def unavailable(command: Any, **options: Any) -> Any:
        raise Unavailable("the cluster has no leader now", retry_after_s=1.2)

    world.proposer.propose = unavailable
    status, body, headers = await admin.request("POST", "/restart", {"name": "web"})
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "unavailable", "2")
    world.cluster.leader_id = None
    status, body, headers = await admin.request("GET", "/apps?consistent=true")
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "unavailable", "3")
    assert headers["X-Hivemind-Leader"] == ""
    assert (await admin.send("GET", "/apps"))[0] == 200


async def test_an_unknown_outcome_is_504(admin: Any, world: Any) -> None:
    async def unknown(command: Any, **options: Any) -> Any:
        raise OutcomeUnknown("no answer came")

    world.proposer.propose = unknown
    status, error = await admin.send("POST", "/restart", {"name": "web"})
    assert (status, error["code"]) == (504, "timeout")


async def test_what_nobody_foresaw_is_500_and_leaks_nothing(admin: Any, world: Any) -> None:
    async def broken(command: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    world.proposer.propose = broken
    status, error = await admin.send("POST", "/restart", {"name": "web"})
    assert (status, error["code"]) == (500, "internal_error")
    assert "secret" not in error["message"]
    assert isinstance(translate(ExceptionGroup("many", [ValueError(), KeyError()])), InternalError)


async def test_consistent_asks_the_leader_first(admin: Any, world: Any) -> None:
    await admin.get("/apps?consistent=true")
    await admin.get("/apps?consistent=false")
    await admin.get("/nodes/node-1?consistent=true")
    assert world.cluster.barriers == 2
    status, error = await admin.send("GET", "/apps?consistent=perhaps")
    assert (status, "consistent" in error["message"]) == (400, True)


async def test_unknown_parameters_are_named(admin: Any) -> None:
    for path in ("/nodes/node-1?colour=red", "/apps?colour=red", "/health?colour=red"):
        status, error = await admin.send("GET", path)
        assert (status, "'colour'" in error["message"]) == (400, True), path
    status, error = await admin.send("GET", "/apps?limit=1&limit=2")
    assert (status, "'limit' is given twice" in error["message"]) == (400, True)


async def test_headers_of_every_answer(admin: Any) -> None:
    for method, path in (("GET", "/apps"), ("GET", "/nothing"), ("GET", "/metrics"), ("POST", "/deploy")):
        _, _, headers = await admin.request(method, path)
        assert headers["X-Hivemind-Leader"] == "node-1"
        assert headers["X-Hivemind-Last-Contact-Ms"] == "12"
        assert int(headers["X-Hivemind-Index"]) > 0


async def test_the_rate_limit_of_the_reference(make_world: Any, make_client: Any) -> None:
    world = make_world(requests_per_ip_per_minute=5)
    await world.found()
    client = make_client(world, await world.login())
    for left in (3, 2, 1, 0):
        status, _, headers = await client.request("GET", "/apps")
        assert (status, headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == (200, "5", str(left))
    status, body, headers = await client.request("GET", "/apps")
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    wait_s = int(headers["Retry-After"])
    assert body["error"]["message"] == f"Rate limit exceeded. Try again in {wait_s} seconds."
    assert int(headers["X-RateLimit-Reset"]) > world.clock.now_s
    world.clock.now_s += wait_s
    assert (await client.send("GET", "/apps"))[0] == 200


async def test_the_users_limit_holds_over_addresses(make_world: Any, make_client: Any) -> None:
    world = make_world(requests_per_user_per_hour=3)
    await world.found()
    client = make_client(world, await world.login("vera"))
    other = make_client(world, await world.login("olga"))
    assert [(await client.send("GET", "/apps"))[0] for _ in range(4)] == [200, 200, 200, 429]
    assert (await other.send("GET", "/apps"))[0] == 200
