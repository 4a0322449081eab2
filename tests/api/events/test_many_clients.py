"""Many WebSocket clients on one node: each gets every event once, and those that stop reading delay nobody."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import Struct

from api.serve import ServeConfig, serve
from consensus import commands
from consensus.model.alert import Alert, Severity

ALLOWANCE_BYTES = 32_000_000


class Crowd(Struct, frozen=True, kw_only=True):
    clients: int
    stalled: int
    events: int
    message_bytes: int
    burst: int = 20


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def connect(address: tuple[str, int], token: str, *, small: bool = False) -> tuple[trio.SocketStream, bytes]:
    """An open WebSocket, and the first bytes that came after its head."""
    raw = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if small:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await raw.connect(address)
    stream = trio.SocketStream(raw)
    key = base64.b64encode(os.urandom(16)).decode()
    await stream.send_all(
        f"GET /api/ws?token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some(1024)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    return stream, rest


async def read_events(stream: trio.SocketStream, buffer: bytes, count: int) -> list[str]:
    """The numbers in the first `count` text messages (RFC 6455, 5.2)."""
    data, told = bytearray(buffer), []
    while len(told) < count:
        size, at = (data[1], 2) if len(data) >= 2 else (0, len(data) + 1)
        if size == 126:
            size, at = (int.from_bytes(data[2:4], "big"), 4) if len(data) >= 4 else (0, len(data) + 1)
        elif size == 127:
            size, at = (int.from_bytes(data[2:10], "big"), 10) if len(data) >= 10 else (0, len(data) + 1)
        if len(data) < at + size:
            more = await stream.receive_some(1 << 18)
            assert more, f"closed after {len(told)} events"
            data += more
            continue
        if data[0] == 0x81:
            # The id stands first; decoding a million messages would test the JSON decoder.
            told.append(data[at : at + min(size, 100)].partition(b'"id":"')[2].partition(b'"')[0].decode())
        del data[: at + size]
    return told


# What a stalled client is sent must be more than the kernel holds for it.
CROWDS = [
    Crowd(clients=40, stalled=4, events=200, message_bytes=2_000),
    pytest.param(
        Crowd(clients=1000, stalled=100, events=1000, message_bytes=500),
        marks=[pytest.mark.soak, pytest.mark.timeout(900)],
    ),
]


@pytest.mark.parametrize("crowd", CROWDS, ids=lambda crowd: f"{crowd.clients}x{crowd.events}")
async def test_none_is_lost_none_comes_twice_and_who_stops_reading_is_dropped(world: Any, crowd: Crowd) -> None:
    token = (await world.login())["Authorization"].removeprefix("Bearer ")
    expected = [f"a{number}" for number in range(crowd.events)]
    finished = 0
    before = rss_bytes()

    async def reader(stream: trio.SocketStream, rest: bytes) -> None:
        nonlocal finished
        async with stream:
            assert await read_events(stream, rest, crowd.events) == expected
        finished += 1

    async with trio.open_nursery() as nursery:
        shutdown, config = (
            trio.Event(),
            ServeConfig(send_timeout_s=1.0, grace_s=1.0, send_buffer_bytes=16_384),
        )
        addresses = await nursery.start(
            lambda task_status: serve(
                world.app, bind=[("127.0.0.1", 0)], shutdown=shutdown, config=config, task_status=task_status
            )
        )
        stalled = [(await connect(addresses[0], token, small=True))[0] for _ in range(crowd.stalled)]
        async with trio.open_nursery() as readers:
            for _ in range(crowd.clients - crowd.stalled):
                readers.start_soon(reader, *await connect(addresses[0], token))
            text = "m" * crowd.message_bytes
            for number, name in enumerate(expected):
                alert = Alert(id=name, severity=Severity.INFO, resource="cluster", message=text, created_at_s=1.0)
                await world.propose(commands.RaiseAlert(alert=alert))
                if number % crowd.burst == 0:
                    await trio.sleep(0.001)
        assert finished == crowd.clients - crowd.stalled
        print(f"{crowd}: {rss_bytes() - before:,} bytes more than the {before:,} before, clients and all")
        history_bytes = crowd.events * (crowd.message_bytes + 1000) * 2
        # The clients, and what they have read, live in this process, too.
        assert rss_bytes() - before < history_bytes + crowd.clients * 500_000 + ALLOWANCE_BYTES
        # They must have stalled for longer than the server bears, also where the others were done in no time.
        await trio.sleep(3 * config.send_timeout_s)
        # At the same time: what the kernel holds for each of them takes its while through so small a window.
        with trio.fail_after(60):
            async with trio.open_nursery() as looking:
                for stream in stalled:
                    looking.start_soon(read_to_the_end, stream)
        shutdown.set()


async def read_to_the_end(stream: trio.SocketStream) -> None:
    """Returns when the server has let this client go: it was reset, or reads to its end."""
    async with stream:
        try:
            while await stream.receive_some(1 << 20):
                pass
        except trio.BrokenResourceError:
            return
