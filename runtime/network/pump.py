"""Bytes both ways between two streams: half close is passed on, nothing is buffered but one piece each way."""

from __future__ import annotations

from typing import Protocol

import trio

PIECE_BYTES = 64 * 1024


class ByteStream(Protocol):
    """`receive` answers b"" at the end."""

    async def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    async def send_eof(self) -> None: ...
    async def aclose(self) -> None: ...


class SocketBytes:
    """A trio socket stream as a ByteStream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some(PIECE_BYTES))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def pump(left: ByteStream, right: ByteStream, *, broken: tuple[type[Exception], ...], idle_s: float) -> None:
    """Until both sides have ended, one broke (`broken` are its errors), or nothing moved for `idle_s`."""
    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        scope.deadline = trio.current_time() + idle_s

        async def copy(source: ByteStream, target: ByteStream) -> None:
            try:
                while data := await source.receive():
                    await target.send(data)
                    scope.deadline = trio.current_time() + idle_s
                await target.send_eof()
            except broken:
                scope.cancel()

        nursery.start_soon(copy, left, right)
        nursery.start_soon(copy, right, left)
