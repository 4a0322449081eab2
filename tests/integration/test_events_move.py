"""Issue 2, bar 7: a client of the events moves from node to node and misses nothing, and gets nothing twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
import trio

from tests.support.apps import Sleeper, deploy
from tests.support.cluster import Cluster
from tests.support.event_clients import Event, listed, sse, websocket

EVENTS = 120
PER_STAY = 7


async def change_things(cluster: Cluster, stop: trio.Event) -> None:
    """Scales an app up and down at one node after the other."""
    for number, replicas in zip(itertools.cycle((1, 2, 3)), itertools.cycle((4, 1, 5, 2)), strict=False):
        if stop.is_set():
            return
        async with cluster.async_client(number, timeout_s=30) as client:
            answer = await client.post("/api/scale", json={"name": "moving", "replicas": replicas})
            assert answer.status_code == 200, answer.text
        await trio.sleep(0.2)


async def follow_around(cluster: Cluster, connect: Callable[..., Any], since: str, start: int) -> list[Event]:
    """Takes a few events at each node, then leaves in the middle of what the node sends."""
    got: list[Event] = []
    for number in itertools.islice(itertools.cycle((1, 2, 3)), start, None):
        async with connect(cluster, number, since=since) as events, aclosing(events) as stream:
            async for event in stream:
                got.append(event)
                since = event[0]
                if len(got) >= EVENTS:
                    return got
                if len(got) % PER_STAY == 0:
                    break
    raise AssertionError("cycle ends never")


async def test_moving_clients_see_every_event_once(three: Cluster) -> None:
    await trio.to_thread.run_sync(deploy, three, 1, Sleeper("moving").body(1))
    since = (await listed(three, 1))[-1][0]
    stop = trio.Event()
    results: dict[str, list[Event]] = {}

    async def follow(name: str, connect: Callable[..., Any], start: int) -> None:
        with trio.fail_after(120):
            results[name] = await follow_around(three, connect, since, start)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change_things, three, stop)
        async with trio.open_nursery() as clients:
            clients.start_soon(follow, "websocket", websocket, 0)
            clients.start_soon(follow, "sse", sse, 1)
        stop.set()
    remembered = [(await listed(three, number, since))[:EVENTS] for number in (1, 2, 3)]
    assert remembered[0] == remembered[1] == remembered[2]
    assert results["websocket"] == remembered[0]
    assert results["sse"] == remembered[0]
    assert {kind for _, kind, _ in remembered[0]} >= {"container_created", "container_started", "container_deleted"}
    ids = [event_id for event_id, _, _ in remembered[0]]
    assert len(set(ids)) == EVENTS


async def test_a_client_that_is_ahead_of_its_new_node_is_not_told_anything_twice(three: Cluster) -> None:
    epoch, index, _ = (await listed(three, 1))[-1][0].split(".")
    ahead = f"{epoch}.{int(index) + 1_000_000}.0"
    async with websocket(three, 2, since=ahead) as events, aclosing(events) as stream:
        with trio.move_on_after(1.0) as quiet:
            await anext(stream)
    assert quiet.cancelled_caught


@pytest.mark.parametrize("since", ["nonsense", "a.b.c", "a.1", "....", "x.-1.0"])
async def test_a_bad_since_is_a_400(three: Cluster, since: str) -> None:
    async with three.async_client(3) as client:
        for path in ("/api/events", "/api/stream/events"):
            answer = await client.get(path, params={"since": since})
            assert answer.status_code == 400
            assert "since" in answer.json()["error"]["message"]
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        answer = await client.get("/api/ws", params={"since": since}, headers=handshake)
        assert answer.status_code == 400


async def test_the_list_filters_and_pages(three: Cluster) -> None:
    async with three.async_client(2) as client:

        async def get(**params: str) -> Any:
            answer = await client.get("/api/events", params=params)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        everything = await get(limit="1000")
        joined = await get(types="node_joined,node.left")
        assert {event["type"] for event in joined["events"]} == {"node_joined"}
        assert joined["total"] == 3
        newest = await get(limit="5")
        assert newest["events"] == everything["events"][-5:]
        assert newest["pagination"]["prev_offset"] is not None
        assert newest["pagination"]["next_offset"] is None
        first = await get(limit="5", offset="0")
        assert first["events"] == everything["events"][:5]
        after = await get(limit="5", since=first["events"][-1]["id"])
        assert after["events"] == everything["events"][5:10]
        about = await get(resources="app/moving", limit="1000")
        assert 0 < about["total"] < everything["total"]
        assert (await client.get("/api/events", params={"types": "nonsense"})).status_code == 400
        assert (await client.get("/api/events", auth=None, headers={"Authorization": ""})).status_code == 401
