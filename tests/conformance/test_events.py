"""The WebSocket and the stream of events, as the reference has them (Websocket API, Streaming API)."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import httpx2
import trio
from trio_websocket import open_websocket_url

from tests.conformance.world import World, lines_of

TYPES = (
    "container_created",
    "container_started",
    "container_stopped",
    "container_deleted",
    "container_health_changed",
    "node_joined",
    "node_left",
    "node_health_changed",
    "service_updated",
    "alert_created",
    "alert_resolved",
)
SEEN_HERE = {
    "container_created",
    "container_started",
    "container_stopped",
    "container_deleted",
    "container_health_changed",
    "node_joined",
    "service_updated",
}
"""The others need nodes that go; tests/integration and tests/faults have those."""
PASSING = {
    "name": "passing",
    "image": "busybox",
    "command": ["sleep", "3600"],
    "health_check": {"command": "true", "interval": "1s"},
}


def _pass_by(world: World) -> None:
    world.data("POST", "/deploy", body=PASSING)


def _socket_url(world: World, node: int, token: str, query: str = "") -> str:
    return f"{world.cluster.node(node).url.replace('http', 'ws', 1)}/api/ws?token={token}{query}"


async def test_websocket_events(world: World) -> None:
    """The life of an app in events: each with its type, an id to resume from, and data with a timestamp."""
    seen: list[dict[str, Any]] = []
    async with open_websocket_url(_socket_url(world, 2, world.token, "&resources=app/passing")) as socket:
        await trio.to_thread.run_sync(_pass_by, world)
        with trio.fail_after(30):
            while not any(event["data"].get("new_status") == "healthy" for event in seen):
                seen.append(json.loads(await socket.get_message()))
            await trio.to_thread.run_sync(lambda: world.data("DELETE", "/apps/passing"))
            while "container_deleted" not in {event["type"] for event in seen}:
                seen.append(json.loads(await socket.get_message()))
    # What was before, from the beginning on, at another node.
    epoch = seen[0]["id"].partition(".")[0]
    async with open_websocket_url(_socket_url(world, 3, world.token, f"&since={epoch}.0.0&types=node_joined")) as other:
        seen.append(json.loads(await other.get_message()))
    assert {event["type"] for event in seen} == SEEN_HERE
    for event in seen:
        assert set(event) == {"type", "data", "id"}
        assert event["data"]["timestamp"].endswith("Z")
    changes = [event["data"] for event in seen if event["type"] == "container_health_changed"]
    assert changes[-1]["new_status"] == "healthy"
    assert all({"container_id", "previous_status", "new_status", "timestamp"} <= set(change) for change in changes)


def test_a_websocket_is_refused_without_a_good_token(world: World) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for params in ({}, {"token": ""}, {"token": "not.a.token"}):
        # hypercorn closes a refused connection without saying so, so it is not kept for another request.
        url = f"{world.cluster.node(1).url}/api/ws"
        answer = httpx2.get(url, params=params, headers=handshake, trust_env=False, verify=False)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "authentication_failed"


def test_every_event_type_is_known(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token}"}
    for name in (*TYPES, *(name.replace("_", ".", 1) for name in TYPES)):
        with world.clients[0].stream("GET", "/stream/events", params={"types": name}, headers=headers) as answer:
            assert answer.status_code == 200, name
    answer = world.ask("GET", "/stream/events", params={"types": "something_else"})
    assert answer.status_code == 400
    assert "something_else" in answer.json()["error"]["message"]


def _next_frame(answer: httpx2.Response) -> dict[str, str]:
    """The next event; a frame without one only says where to resume from."""
    frame: dict[str, str] = {}
    with closing(lines_of(answer)) as lines:
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                frame[name] = value.strip()
            elif "event" in frame:
                return frame
            else:
                frame = {}
    raise AssertionError("the stream ended")


def test_the_event_stream(world: World, found: dict[str, str]) -> None:
    """``event: container.created`` and ``data: {"id", "name", "status"}``, resumed at the next node."""
    name = "GET /stream/events"
    found[name] = "wrong"
    headers = {"Authorization": f"Bearer {world.token}"}
    params = {"types": "container.created,container.started", "resources": "app/passing"}
    last: str | None = None
    for client, wanted in zip(world.clients, ("container.created", "container.started"), strict=False):
        more: dict[str, str] = {} if last is None else {"Last-Event-ID": last}
        with client.stream("GET", "/stream/events", params=params, headers={**headers, **more}) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            if last is None:
                _pass_by(world)
            frame = _next_frame(answer)
            last = frame["id"]
            data = json.loads(frame["data"])
            assert frame["event"] == wanted
            assert {"id", "name", "status"} <= set(data)
            assert data["name"].startswith("passing")
            assert data["status"] == ("created" if wanted == "container.created" else "running")
    world.data("DELETE", "/apps/passing")
    found[name] = "conforms"


def test_the_event_stream_filters(world: World) -> None:
    """Only what is asked for by `types` and by `resources` comes."""
    headers = {"Authorization": f"Bearer {world.token}"}
    with (
        world.clients[0].stream("GET", "/stream/events", headers=headers) as answer,
        closing(lines_of(answer)) as lines,
    ):
        epoch = next(line for line in lines if line.startswith("id:")).split()[1].partition(".")[0]
    params = {"since": f"{epoch}.0.0", "types": "service.updated", "resources": "app/shown"}
    with world.clients[1].stream("GET", "/stream/events", params=params, headers=headers) as answer:
        frame = _next_frame(answer)
    assert frame["event"] == "service.updated"
    assert json.loads(frame["data"])["app"] == "shown"
    for params in ({"no_such_parameter": "1"}, {"since": "yesterday"}):
        refused = world.ask("GET", "/stream/events", params=params)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "invalid_request"
