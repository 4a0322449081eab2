"""A client of one `log_node`: many requests at once over one connection, each with its outcome."""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any, Self

import msgpack
import trio


class Refused(Exception):
    """Certainly not done."""


class Unknown(Exception):
    """Done, not done, or done later."""


class LogClient:
    """`async with LogClient(host, port) as client`; connects again by itself when the node was away."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 10.0) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[trio.Event, list[Any]]] = {}
        self._stream: trio.SocketStream | None = None
        self._outbox: list[bytes] = []
        self._queued = trio.Event()
        self._nursery_manager = trio.open_nursery()

    async def __aenter__(self) -> Self:
        self._nursery = await self._nursery_manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        await self._nursery_manager.__aexit__(kind, error, trace)

    async def __call__(self, operation: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """The answer's value. Raises Refused, Unknown."""
        number, done, answer = next(self._numbers), trio.Event(), []  # type: ignore[var-annotated]
        with trio.move_on_after(timeout_s or self._timeout_s):
            try:
                await self._connected()
            except OSError as error:
                raise Refused(str(error)) from error
            self._waiting[number] = (done, answer)
            self._outbox.append(msgpack.packb([number, operation, *arguments]))
            self._queued.set()
            try:
                await done.wait()
            finally:
                del self._waiting[number]
        if not answer:
            raise Unknown("no answer")
        status, value = answer
        if status == "ok":
            return value
        raise (Refused if status == "refused" else Unknown)(value)

    async def _connected(self) -> None:
        if self._stream is None:
            stream = await trio.open_tcp_stream(*self._address)
            if self._stream is None:
                self._stream = stream
                self._nursery.start_soon(self._talk, stream)
            else:
                await stream.aclose()

    async def _talk(self, stream: trio.SocketStream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, stream)
                await self._receive(stream)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._stream = None
            self._outbox.clear()
            for done, _ in self._waiting.values():
                done.set()
            await trio.aclose_forcefully(stream)

    async def _send(self, stream: trio.SocketStream) -> None:
        while True:
            await self._queued.wait()
            self._queued = trio.Event()
            batch = b"".join(self._outbox)
            self._outbox.clear()
            await stream.send_all(batch)

    async def _receive(self, stream: trio.SocketStream) -> None:
        unpacker = msgpack.Unpacker()
        async for data in stream:
            unpacker.feed(data)
            for number, status, value in unpacker:
                if number in self._waiting:
                    done, answer = self._waiting[number]
                    answer += [status, value]
                    done.set()
