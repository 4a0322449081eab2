"""What holds for every endpoint: versions, ETags, idempotency keys, waiting for news, compression."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import trio
import trio.testing
import zstandard

from consensus import commands


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json; version=1.0", 200),
        ("application/json;version=1", 200),
        ("application/json; version=2.0", 406),
        ('application/json; version="9"', 406),
        ("application/json; version=2.0, */*", 200),
        ("text/html", 200),
    ],
)
async def test_versions(admin: Any, accept: str, status: int) -> None:
    got, body, _ = await admin.request("GET", "/apps", Accept=accept)
    assert got == status
    if status == 406:
        assert body["error"]["code"] == "not_acceptable"
        assert "1.0" in body["error"]["message"]


async def test_an_answer_that_the_client_has_is_not_sent_again(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=1)
    for path in ("/apps", "/apps/web", "/containers", "/nodes/node-1"):
        _, _, headers = await admin.request("GET", path)
        tag = headers["ETag"]
        status, body, headers = await admin.request("GET", path, **{"If-None-Match": f'"other", W/{tag}'})
        assert (status, body, headers["ETag"]) == (304, None, tag)
    await world.propose(commands.ScaleApp("web", 3))
    assert (await admin.request("GET", "/apps/web", **{"If-None-Match": tag}))[0] == 200


async def test_an_update_of_what_has_changed_since_is_412(admin: Any, world: Any) -> None:
    _, _, headers = await admin.request("GET", "/nodes/node-1")
    seen = {"If-Match": headers["ETag"]}
    body = {"labels": {"disk": "ssd"}}
    assert (await admin.request("PUT", "/nodes/node-1/labels", body, **seen))[0] == 200
    status, answer, _ = await admin.request("PUT", "/nodes/node-1/labels", body, **seen)
    assert (status, answer["error"]["code"]) == (412, "precondition_failed")
    assert (await admin.request("PUT", "/nodes/node-1/labels", body, **{"If-Match": "*"}))[0] == 200
    assert (await admin.request("PUT", "/nodes/node-1/labels", body, **{"If-Match": "x"}))[0] == 400
    assert (await admin.request("POST", "/volumes/create", {"name": "v"}, **{"If-Match": "*"}))[0] == 400


async def test_what_follows_from_elsewhere_does_not_spoil_an_if_match(admin: Any, world: Any) -> None:
    """The race: a container starts between the read and the update; nobody else has changed the app."""
    ids = await world.deploy("web", replicas=1, running=False)
    _, _, headers = await admin.request("GET", "/apps/web")
    await world.run(ids)
    _, _, later = await admin.request("GET", "/apps/web")
    assert later["ETag"] != headers["ETag"]
    body = {"name": "web", "replicas": 2}
    assert (await admin.request("POST", "/scale", body, **{"If-Match": headers["ETag"]}))[0] == 200
    assert (await admin.request("POST", "/scale", body, **{"If-Match": headers["ETag"]}))[0] == 412


async def test_a_retry_with_its_key_acts_once_and_is_answered_the_same(
    admin: Any, world: Any, make_client: Any
) -> None:
    key = {"Idempotency-Key": "k-1"}
    deploy = {"name": "web", "image": "x", "replicas": 2}
    first = await admin.request("POST", "/deploy", deploy, **key)
    again = await admin.request("POST", "/deploy", deploy, **key)
    assert first[:2] == again[:2]
    assert first[0] == 201
    assert len(world.machine.state.tasks) == 2
    status, body, _ = await admin.request("POST", "/deploy", {**deploy, "replicas": 3}, **key)
    assert (status, body["error"]["code"]) == (409, "resource_conflict")
    # Another user's key of the same name is another key.
    olga = make_client(world, await world.login("olga"))
    assert (await olga.request("POST", "/deploy", deploy, **key))[0] == 409
    scale = {"name": "web", "replicas": 5}
    answers = [await admin.request("POST", "/scale", scale, **{"Idempotency-Key": "k-2"}) for _ in range(2)]
    assert answers[0][1] == answers[1][1]
    assert answers[0][1]["data"]["previous_replicas"] == 2


async def test_a_refused_request_does_not_use_up_its_key(admin: Any, world: Any) -> None:
    key = {"Idempotency-Key": "k"}
    assert (await admin.request("POST", "/restart", {"name": "web"}, **key))[0] == 404
    await world.deploy("web")
    assert (await admin.request("POST", "/restart", {"name": "web"}, **key))[0] == 200


async def test_a_retried_api_key_is_shown_again(admin: Any) -> None:
    key = {"Idempotency-Key": "k"}
    answers = [await admin.request("POST", "/auth/api-keys", {"name": "ci"}, **key) for _ in range(2)]
    assert answers[0][0] == 201
    assert answers[0][1] == answers[1][1]
    assert (await admin.request("POST", "/auth/api-keys", {"name": "ci"}))[0] == 409


async def test_a_bad_key_is_refused(admin: Any) -> None:
    assert (await admin.request("POST", "/restart", {"name": "w"}, **{"Idempotency-Key": "x" * 256}))[0] == 400


async def test_waiting_for_news(admin: Any, world: Any) -> None:
    index = world.machine.index
    answered: list[int] = []

    async def ask() -> None:
        data = await admin.get(f"/apps?wait={index}&timeout=20s")
        answered.append(data["total"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answered == []
        await world.deploy("web")
    assert answered == [1]
    # There is news already, or the time is up: at once.
    assert (await admin.get(f"/apps?wait={index}&timeout=20s"))["total"] == 1
    assert (await admin.get(f"/apps?wait={world.machine.index}&timeout=10ms"))["total"] == 1


async def test_waiting_for_another_answer(admin: Any, world: Any) -> None:
    """With If-None-Match, news of others do not wake the client."""
    _, _, headers = await admin.request("GET", "/volumes")
    tag, index = headers["ETag"], world.machine.index
    answered: list[Any] = []

    async def ask(timeout: str) -> None:
        answered.append(
            await admin.request("GET", f"/volumes?wait={index}&timeout={timeout}", **{"If-None-Match": tag})
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "20s")
        await world.deploy("web")
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert answered == []
        await admin.send("POST", "/volumes/create", {"name": "data"})
    assert [(status, body["data"]["total"]) for status, body, _ in answered] == [(200, 1)]
    await ask("50ms")
    assert answered[-1][0] == 200
    tag = answered[-1][2]["ETag"]
    await ask("50ms")
    assert answered[-1][0] == 304


@pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=1&timeout=x", "wait=1&timeout=1h"])
async def test_bad_waits(admin: Any, query: str) -> None:
    status, error = await admin.send("GET", f"/apps?{query}")
    assert status == 400
    assert "wait" in error["message"] or "timeout" in error["message"]


async def test_large_answers_are_compressed(world: Any) -> None:
    await world.deploy("web", replicas=20)
    client, headers = world.app.test_client(), await world.login()

    async def get(accept: str, path: str = "/api/containers") -> tuple[str | None, bytes]:
        answer = await client.get(path, headers={**headers, "Accept-Encoding": accept})
        return answer.headers.get("Content-Encoding"), await answer.get_data(as_text=False)

    _, plain = await get("identity")
    for accept, coding in [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("*", "zstd"),
        ("br", None),
        ("gzip;q=0", None),
    ]:
        got, body = await get(accept)
        assert got == coding, accept
        if coding == "gzip":
            assert gzip.decompress(body) == plain
        elif coding == "zstd":
            assert zstandard.ZstdDecompressor().decompress(body) == plain
    assert (await get("gzip", "/api/cluster"))[0] is None


async def test_a_weak_tag_of_a_compressed_answer_matches(world: Any) -> None:
    await world.deploy("web", replicas=20)
    client, headers = world.app.test_client(), await world.login()
    headers["Accept-Encoding"] = "gzip"
    answer = await client.get("/api/containers", headers=headers)
    assert answer.headers["ETag"].startswith("W/")
    answer = await client.get("/api/containers", headers={**headers, "If-None-Match": answer.headers["ETag"]})
    assert answer.status_code == 304
