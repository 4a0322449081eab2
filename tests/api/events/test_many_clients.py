"""Many WebSocket clients on one node: each gets every event once, and those that stop reading delay nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import Struct

from api.serve import ServeConfig, serve
from consensus import commands
from consensus.model.alert import Alert, Severity

SEND_TIMEOUT_S = 1.0
STALL_S = 3
CLIENT_BYTES = 100_000
"""What a client may cost, with what waits for it."""
ALLOWANCE_BYTES = 32_000_000


class Crowd(Struct, frozen=True, kw_only=True):
    """All get `events`; then `stalled` of them stop reading, and the others get `events_after`."""

    clients: int
    events: int
    stalled: int
    events_after: int
    message_bytes: int
    burst: int = 20


# What a stalled client is sent must be more than the kernel holds for it.
CROWDS = [
    Crowd(clients=40, events=200, stalled=4, events_after=200, message_bytes=2_000),
    pytest.param(
        Crowd(clients=1000, events=1000, stalled=100, events_after=400, message_bytes=300),
        marks=[pytest.mark.soak, pytest.mark.timeout(1800)],
    ),
]


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Lines:
    """What the process of the clients says."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stdout = process.stdout
        self._buffer = b""

    async def next(self) -> dict[str, int]:
        while b"\n" not in self._buffer:
            data = await self._stdout.receive_some()
            assert data, "the clients have ended; they said why"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        told: dict[str, int] = json.loads(line)
        return told


async def raise_alerts(world: Any, crowd: Crowd, first: int, count: int) -> None:
    text = "m" * crowd.message_bytes
    for number in range(first, first + count):
        alert = Alert(id=f"a{number}", severity=Severity.INFO, resource="cluster", message=text, created_at_s=1.0)
        await world.propose(commands.RaiseAlert(alert=alert))
        if number % crowd.burst == 0:
            await trio.sleep(0.001)


@pytest.fixture
async def address(world: Any) -> AsyncIterator[tuple[str, int]]:
    """Where the API is served; a stalled reader's kernel buffers are small, so that it is noticed soon."""
    config = ServeConfig(send_timeout_s=SEND_TIMEOUT_S, grace_s=1.0, send_buffer_bytes=16_384)
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: Any) -> None:
            await serve(world.app, bind=[("127.0.0.1", 0)], shutdown=shutdown, config=config, task_status=task_status)

        (found,) = await nursery.start(run)
        yield found
        shutdown.set()


@pytest.mark.parametrize("crowd", CROWDS, ids=lambda crowd: f"{crowd.clients}x{crowd.events}")
async def test_none_is_lost_none_comes_twice_and_who_stops_reading_is_dropped(
    world: Any, address: tuple[str, int], crowd: Crowd
) -> None:
    """The clients check what they get (crowd.py): memory and time are the server's alone."""
    token = (await world.login())["Authorization"].removeprefix("Bearer ")
    numbers = (crowd.clients, crowd.events, crowd.stalled, crowd.events_after, STALL_S)
    argv = [sys.executable, "-m", "tests.api.events.crowd", address[0], str(address[1]), token, *map(str, numbers)]
    before = rss_bytes()
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(trio.run_process, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        clients = Lines(process)
        assert await clients.next() == {"connected": crowd.clients}
        connected = rss_bytes()
        all_s = await _told(world, clients, crowd, 0, crowd.events, crowd.clients * crowd.events)
        told = rss_bytes()
        rest = crowd.clients * crowd.events + (crowd.clients - crowd.stalled) * crowd.events_after
        rest_s = await _told(world, clients, crowd, crowd.events, crowd.events_after, rest)
        with_stalled = rss_bytes()
        assert await clients.next() == {"let_go": crowd.stalled}
        await process.stdin.aclose()
    while world.app.closing.waiting:  # noqa: ASYNC110
        await trio.sleep(0.05)
    after = rss_bytes()
    print(
        f"{crowd}: {all_s:.1f} s for all, {rest_s:.1f} s for the others; bytes: {before:,} before, {connected:,}"
        f" connected, {told:,} told, {with_stalled:,} with the stalled, {after:,} after"
    )
    history_bytes = (crowd.events + crowd.events_after) * (crowd.message_bytes + 1000) * 3
    assert with_stalled - before < history_bytes + crowd.clients * CLIENT_BYTES + ALLOWANCE_BYTES
    # Each event to the others took about as long as each event to all.
    assert rest_s / crowd.events_after < 3 * all_s / crowd.events + SEND_TIMEOUT_S / crowd.events_after


async def _told(world: Any, clients: Lines, crowd: Crowd, first: int, count: int, expected: int) -> float:
    """How long it took until the clients had `expected` events in all."""
    began_s = trio.current_time()
    await raise_alerts(world, crowd, first, count)
    assert await clients.next() == {"events": expected}
    return trio.current_time() - began_s
