"""Clients of the events at a cluster of real daemons: a WebSocket, Server-Sent Events, and the list."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import trio
from trio_websocket import wrap_client_stream

from tests.support.cluster import Cluster

Event = tuple[str, str, Any]
"""Id, type with underscores, data."""


def basic(cluster: Cluster) -> str:
    return "Basic " + base64.b64encode(f"admin:{cluster.admin_password}".encode()).decode()


@asynccontextmanager
async def websocket(cluster: Cluster, number: int, **params: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events that a node sends."""
    address = cluster.node(number).address
    path = "/api/ws" + (f"?{urlencode(params)}" if params else "")
    headers = [(b"Authorization", basic(cluster).encode())]
    # The stream is ours to close: trio-websocket leaves it open where the server ends the connection.
    async with await trio.open_tcp_stream(address, 4483) as stream, trio.open_nursery() as nursery:
        connection = await wrap_client_stream(nursery, stream, address, path, extra_headers=headers)

        async def events() -> AsyncIterator[Event]:
            while True:
                message = json.loads(await connection.get_message())
                yield message["id"], message["type"], message["data"]

        yield events()
        # Without the closing handshake: a ping that comes during it makes trio-websocket fail (it answers with a pong).
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def sse(cluster: Cluster, number: int, **params: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events that a node streams, read as WHATWG HTML 9.2 says.

    By hand: httpx's nested generators complain when a stream is left in its middle. HTTP/1.0 knows no chunks.
    """
    address = cluster.node(number).address
    async with await trio.open_tcp_stream(address, 4483) as stream:
        path = "/api/stream/events" + (f"?{urlencode(params)}" if params else "")
        head = f"GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: {basic(cluster)}\r\n\r\n"
        await stream.send_all(head.encode())
        lines = _lines(stream)
        async with aclosing(lines):
            status = await anext(lines)
            assert " 200 " in status, status
            yield _sse_events(lines)


async def _sse_events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        else:
            if "data" in fields:
                yield fields["id"], fields["event"].replace(".", "_", 1), json.loads(fields["data"])
            fields = {}


async def _lines(stream: trio.SocketStream) -> AsyncGenerator[str, None]:
    waiting = b""
    while data := await stream.receive_some(65536):
        *lines, waiting = (waiting + data).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            yield line.decode()


async def listed(cluster: Cluster, number: int, since: str | None = None) -> list[Event]:
    """All that a node remembers, or all after `since`."""
    events: list[Event] = []
    async with cluster.async_client(number, timeout_s=30) as client:
        while True:
            params = {"limit": "1000"} if since is None else {"limit": "1000", "since": since}
            answer = await client.get("/api/events", params=params)
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            events += [(event["id"], event["type"], event["data"]) for event in data["events"]]
            if since is None or data["pagination"]["next_offset"] is None:
                return events
            since = events[-1][0]
