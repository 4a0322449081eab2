"""Events by WebSocket and SSE: api_reference.md, "Websocket API" and "Streaming API"; design.md §6."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from quart.testing.connections import WebsocketResponseError

from api.auth.reach import EVERYWHERE
from api.errors import InvalidRequest
from api.events.closing import Closing
from api.events.feed import Feed, Filter
from api.events.sse import EventBody
from api.events.websocket import TOO_SLOW
from api.events.websocket import run as run_socket
from consensus.events import EventLog
from consensus.model.event import EventType

ALL = Filter(EVERYWHERE)


class Sink:
    """A WebSocket that remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.may_send = trio.Event()
        self.may_send.set()

    async def send(self, data: str) -> None:
        await self.may_send.wait()
        await trio.lowlevel.checkpoint()
        self.sent.append(json.loads(data))

    async def receive(self) -> str:
        await trio.sleep_forever()
        return ""

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = (code, reason)


def sse_events(text: str) -> list[dict[str, Any]]:
    """What a browser would dispatch: blocks with data (WHATWG HTML 9.2.6)."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in fields:
            events.append({"type": fields["event"], "data": json.loads(fields["data"]), "id": fields["id"]})
    return events


async def collect(feed: Feed) -> list[dict[str, Any]]:
    told = []
    while ready := feed.ready():
        told += [{"type": event.type, "data": event.data, "id": event.id} for event in ready]
    return told


async def test_the_references_messages(world: Any, admin: Any) -> None:
    client = world.app.test_client()
    token = admin.headers["Authorization"].split()[1]
    with trio.fail_after(5):
        async with client.websocket(f"/api/ws?token={token}&types=container_created,container.started") as socket:
            await trio.testing.wait_all_tasks_blocked()
            await world.deploy(replicas=1)
            created, started = json.loads(await socket.receive()), json.loads(await socket.receive())
    (task,) = world.machine.state.tasks.values()
    assert created["type"] == "container_created"
    assert created["data"] == {
        "id": task.id,
        "container_id": task.id,
        "name": "web-1",
        "app": "web",
        "node_id": "node-1",
        "status": "created",
        "timestamp": "2025-06-15T15:06:40Z",
    }
    assert created["id"].startswith("e1.")
    assert (started["type"], started["data"]["status"]) == ("container_started", "running")


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 401), ("?token=nonsense", 401), ("?token=%s&types=colour", 400), ("?token=%s&since=x", 400), ("?x=%s", 400)],
)
async def test_a_refused_socket_is_answered_as_any_request(world: Any, admin: Any, query: str, status: int) -> None:
    token = admin.headers["Authorization"].split()[1]
    async with world.app.test_client().websocket("/api/ws" + query.replace("%s", token)) as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == status
    assert json.loads(await refused.value.response.get_data())["success"] is False


async def test_the_token_never_reaches_a_log(world: Any, capfd: Any, caplog: Any) -> None:
    async with world.app.test_client().websocket("/api/ws?token=very-secret") as socket:
        with pytest.raises(WebsocketResponseError):
            await socket.receive()
    captured = capfd.readouterr()
    assert "very-secret" not in captured.out + captured.err + caplog.text


async def test_resuming_anywhere_has_no_gap_and_no_repeat(world: Any, make_world: Any) -> None:
    """From every event on: what follows it, exactly, also at a node that is a replica of the first."""
    await world.deploy("web", replicas=3)
    await world.deploy("db", replicas=1)
    other = make_world()
    other.machine.restore(world.machine.freeze()())
    history = await collect(Feed(world.machine, since="e1.0.0", wanted=ALL))
    assert len(history) > 10
    for position, event in enumerate(history):
        resumed = await collect(Feed(other.machine, since=event["id"], wanted=ALL))
        assert resumed == history[position + 1 :]


async def test_sse_and_websocket_tell_the_same(world: Any, admin: Any) -> None:
    await world.deploy(replicas=2)
    expected = await collect(Feed(world.machine, since="e1.0.0", wanted=ALL))
    sink, closing = Sink(), Closing()
    with trio.move_on_after(0.2):
        await run_socket(
            sink,
            Feed(world.machine, since="e1.0.0", wanted=ALL),
            closing,
            heartbeat_s=15,
            still_allowed=lambda: True,
        )
    assert sink.sent == expected
    text = b""
    client = world.app.test_client()
    headers = {**admin.headers, "Last-Event-ID": "e1.0.0"}
    with trio.fail_after(5):
        async with client.request("/api/stream/events", headers=headers) as connection:
            await connection.send_complete()
            while text.count(b"data: ") < len(expected):
                text += await connection.receive()
            world.app.closing.close()
    told = sse_events(text.decode())
    assert [(e["data"], e["id"]) for e in told] == [(e["data"], e["id"]) for e in expected]
    assert [e["type"] for e in told] == [e["type"].replace("_", ".", 1) for e in expected]
    assert "container.health_changed" in {e["type"] for e in told}


async def test_filters(world: Any) -> None:
    (task_id,) = await world.deploy("web", replicas=1)
    await world.deploy("db", replicas=1)

    async def told(types: tuple[str, ...] = (), resources: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        return await collect(Feed(world.machine, since="e1.0.0", wanted=Filter.of(EVERYWHERE, types, resources)))

    assert {e["type"] for e in await told(("node.joined", "container_started"))} == {"node_joined", "container_started"}
    for resource in ("app/web", "app:web", "apps/web", "web", f"container/{task_id}", task_id):
        apps = {e["data"]["app"] for e in await told(("container_started",), (resource,))}
        assert apps == {"web"}, resource
    assert {e["type"] for e in await told((), ("services",))} == {"service_updated"}
    assert await told((), ("app/none",)) == []
    for kind in EventType:
        assert Filter.of(EVERYWHERE, [kind.value.replace("_", ".", 1)], []).types == {kind.value}
    with pytest.raises(InvalidRequest, match="types"):
        Filter.of(EVERYWHERE, ["nothing"], [])


async def test_a_gap_is_told_and_then_what_is_remembered(world: Any) -> None:
    world.machine.events = EventLog(world.machine.events.freeze(), remembered=5)
    await world.deploy(replicas=6)
    told = await collect(Feed(world.machine, since="e1.0.0", wanted=ALL))
    assert told[0]["type"] == "gap"
    assert told[0]["data"]["after"] == "e1.0.0"
    assert told[0]["data"]["until"] == told[0]["id"]
    assert "gap" not in {event["type"] for event in told[1:]}
    resumed = await collect(Feed(world.machine, since=told[0]["id"], wanted=ALL))
    assert resumed == told[1:]
    other_epoch = await collect(Feed(world.machine, since="e0.999.0", wanted=ALL))
    assert other_epoch[0]["type"] == "gap"
    assert other_epoch[1:] == told[1:]


async def test_a_client_that_is_too_slow_is_closed_with_a_code(world: Any) -> None:
    """It was live, and then more happened than is remembered while it took one message."""
    world.machine.events = EventLog(world.machine.events.freeze(), remembered=5)
    sink = Sink()
    feed = Feed(world.machine, since=None, wanted=ALL)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await run_socket(sink, feed, Closing(), heartbeat_s=15, still_allowed=lambda: True)

            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            sink.may_send = trio.Event()
            await world.deploy("a", replicas=1)
            await trio.testing.wait_all_tasks_blocked()
            await world.deploy("b", replicas=10)
            sink.may_send.set()
    assert sink.closed == (TOO_SLOW.code, TOO_SLOW.reason)


async def test_credentials_that_end_close_the_socket(world: Any) -> None:
    sink = Sink()
    feed = Feed(world.machine, since=None, wanted=ALL)
    with trio.fail_after(5):
        await run_socket(sink, feed, Closing(), heartbeat_s=0.05, still_allowed=lambda: False)
    assert sink.closed is not None
    assert sink.closed[0] == 4401


async def test_sse_heartbeats_carry_the_position(world: Any) -> None:
    """A client whose filter lets nothing through must not fall out of the history."""
    wanted = Filter.of(EVERYWHERE, ("alert_created",), ())
    feed = Feed(world.machine, since=None, wanted=wanted)
    body = EventBody(feed, Closing(), heartbeat_s=0.05, still_allowed=lambda: True)
    with trio.fail_after(5):
        start = await body.__anext__()
        await world.deploy(replicas=1)
        beat = await body.__anext__()
    newest = world.machine.events.newest
    assert start.startswith(b"id: e1.")
    assert beat == f": heartbeat\nid: e1.{newest.index}.{newest.number}\n\n".encode()
    assert sse_events((start + beat).decode()) == []


async def test_an_idle_feed_costs_nothing_and_shutdown_wakes_it(world: Any) -> None:
    sink, closing = Sink(), Closing()
    feed = Feed(world.machine, since=None, wanted=ALL)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await run_socket(sink, feed, closing, heartbeat_s=60, still_allowed=lambda: True)

            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            closing.close()
    assert sink.closed is not None
    assert sink.closed[0] == 1001
