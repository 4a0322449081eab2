"""Peer channels of several nodes in one process, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import memory_stream_pair


class FakePeerError(Exception):
    """Stands for the peer channel's base error."""


class FakeStream:
    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise FakePeerError("the stream was closed") from error

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(65536))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise FakePeerError("the stream was closed") from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class PeerNet:
    """`channel(node_id)` is a node's channel; nodes in `unreachable` do not answer."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.unreachable: set[str] = set()
        self.channels: dict[str, FakeChannel] = {}
        self.streams_open = 0

    def channel(self, node_id: str) -> FakeChannel:
        return self.channels.setdefault(node_id, FakeChannel(node_id, self))

    def reach(self, node_id: str) -> FakeChannel:
        if node_id in self.unreachable or node_id not in self.channels:
            raise FakePeerError(f"{node_id}: connection refused")
        return self.channels[node_id]

    async def run_handler(self, handler: Callable[[], Awaitable[None]], stream: FakeStream) -> None:
        self.streams_open += 1
        try:
            await handler()
            await stream.aclose()
        finally:
            self.streams_open -= 1

    def start(self, handler: Callable[[], Awaitable[None]], stream: FakeStream) -> None:
        self._nursery.start_soon(self.run_handler, handler, stream)


class FakeChannel:
    def __init__(self, node_id: str, net: PeerNet) -> None:
        self._node_id = node_id
        self._net = net
        self._calls: dict[str, Callable[[str, Any], Awaitable[Any]]] = {}
        self._streams: dict[str, Callable[[str, Any, Any], Awaitable[None]]] = {}

    def serve(self, service: str, handler: Callable[[str, Any], Awaitable[Any]]) -> None:
        self._calls[service] = handler

    def serve_stream(self, service: str, handler: Callable[[str, Any, Any], Awaitable[None]]) -> None:
        self._streams[service] = handler

    async def call(self, node_id: str, service: str, body: Any, *, timeout_s: float) -> Any:
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(timeout_s):
            return await self._net.reach(node_id)._calls[service](self._node_id, body)
        raise FakePeerError(f"{node_id}: no answer within {timeout_s} s")

    @asynccontextmanager
    async def open_stream(self, node_id: str, service: str, request: Any) -> AsyncIterator[FakeStream]:
        await trio.lowlevel.checkpoint()
        handler = self._net.reach(node_id)._streams[service]
        ours, theirs = memory_stream_pair()
        far = FakeStream(theirs)
        self._net.start(lambda: handler(self._node_id, request, far), far)
        try:
            yield FakeStream(ours)
        finally:
            await ours.aclose()
