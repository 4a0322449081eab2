"""Datagrams to an endpoint: by a socket where it is near, framed in a peer stream where it runs on another node."""

from __future__ import annotations

import struct
from typing import Protocol

import trio

from runtime.network.pump import ByteStream

DATAGRAM_BYTES = 65_535
_LENGTH = struct.Struct("!H")


class Datagrams(Protocol):
    """`receive` answers None at the end."""

    async def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes | None: ...


class SocketDatagrams:
    """A connected UDP socket. One that is refused loses the datagram, as any network may."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionRefusedError:
            return

    async def receive(self) -> bytes | None:
        while True:
            try:
                return bytes(await self._socket.recv(DATAGRAM_BYTES))
            except ConnectionRefusedError:
                # An ICMP answer to an earlier datagram: the endpoint may be listening by now.
                continue


class StreamDatagrams:
    """Datagrams in a stream of bytes, each behind its length (2 bytes, big endian)."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._read = bytearray()

    async def send(self, data: bytes) -> None:
        await self._stream.send(_LENGTH.pack(len(data)) + data)

    async def receive(self) -> bytes | None:
        while True:
            if len(self._read) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._read)
                end = _LENGTH.size + length
                if len(self._read) >= end:
                    data = bytes(self._read[_LENGTH.size : end])
                    del self._read[:end]
                    return data
            more = await self._stream.receive()
            if not more:
                return None
            self._read += more


async def exchange(left: Datagrams, right: Datagrams, *, broken: tuple[type[Exception], ...], idle_s: float) -> None:
    """Until one side has ended, one broke (`broken` are its errors), or nothing moved for `idle_s`."""
    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        scope.deadline = trio.current_time() + idle_s

        async def copy(source: Datagrams, target: Datagrams) -> None:
            try:
                while (data := await source.receive()) is not None:
                    await target.send(data)
                    scope.deadline = trio.current_time() + idle_s
            except broken:
                pass
            scope.cancel()

        nursery.start_soon(copy, left, right)
        nursery.start_soon(copy, right, left)
