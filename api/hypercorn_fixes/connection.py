"""One client's connection: bounded in every direction.

hypercorn 0.18 shields its sends without a limit, so that a reader who stalls blocks the shutdown for ever; starts
no idle timer after a request (see early_answers.py); and waits for the head of a request as long as one byte comes
now and then. Here each send, each head and each pause has its deadline, and `abort` ends everything at once.
"""

from __future__ import annotations

import math

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper
from hypercorn.utils import parse_socket_addr
from msgspec import Struct

from api.hypercorn_fixes.app_task import AppTasks
from api.hypercorn_fixes.early_answers import BodyLimit, Http11

RECEIVE_BYTES = 64 * 1024
SEND_BYTES = 64 * 1024
LINGER_S = 1.0

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Times in seconds.

    Attributes:
        idle_timeout_s: how long a kept connection may be silent between requests.
        head_timeout_s: how long the head of a request may take, from connecting or from its first byte.
        drain_timeout_s: how long the rest of a body that nobody reads may take.
        send_timeout_s: how long a client may take to accept 64 KiB of an answer.
        body_limit_bytes: see Http11.
    """

    idle_timeout_s: float
    head_timeout_s: float
    drain_timeout_s: float
    send_timeout_s: float
    body_limit_bytes: BodyLimit


class Connection:
    """Serves one connection, in `run`."""

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, limits: ConnectionLimits, stream: Stream
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._limits = limits
        self._stream = stream
        self._socket = stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
        self._send_lock = trio.Lock()
        self._receiving = trio.CancelScope()
        self._idle = True
        self._in_head = False
        self._closing = False
        self._protocol: Http11 | None = None

    async def run(self) -> None:
        try:
            await self._run()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return
        finally:
            self._socket.close()

    async def _run(self) -> None:
        if isinstance(self._stream, trio.SSLStream):
            with trio.fail_after(self._limits.head_timeout_s):
                await self._stream.do_handshake()
        async with AppTasks() as task_group:
            self._protocol = Http11(
                self._app,
                self._config,
                self._context,
                task_group,
                ssl=isinstance(self._stream, trio.SSLStream),
                client=parse_socket_addr(self._socket.family, self._socket.getpeername()),
                server=parse_socket_addr(self._socket.family, self._socket.getsockname()),
                send=self._send,
                body_limit_bytes=self._limits.body_limit_bytes,
                draining=self._drain,
            )
            self._set_deadline(self._limits.head_timeout_s)
            await self._read(self._protocol)
            # The app has been told; what it leaves behind (a WebSocket's pings) must not keep the connection.
            nursery = task_group._nursery
            if nursery is not None:
                nursery.cancel_scope.deadline = trio.current_time() + LINGER_S

    def finish(self) -> None:
        """Shutdown: closes now if no request is in flight, else after the answer (`context.terminated`)."""
        if self._idle:
            self._set_deadline(0)

    def abort(self) -> None:
        """Ends everything on this connection at once, also a shielded send."""
        self._socket.close()

    def _set_deadline(self, after_s: float) -> None:
        if not self._closing:
            self._receiving.deadline = trio.current_time() + after_s

    def _drain(self) -> None:
        self._set_deadline(self._limits.drain_timeout_s)

    async def _read(self, protocol: Http11) -> None:
        with self._receiving:
            while data := await self._receive():
                if self._closing:
                    continue
                if self._idle and not self._in_head:
                    self._in_head = True
                    self._set_deadline(self._limits.head_timeout_s)
                await protocol.handle(RawData(data))
        in_head = self._idle and self._in_head and not self._closing
        if self._receiving.cancelled_caught and in_head and not self._context.terminated.is_set():
            await protocol.refuse(408)
        await protocol.handle(Closed())

    async def _receive(self) -> bytes:
        """b"" when nothing follows."""
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send_bytes(event.data)
        elif isinstance(event, Closed):
            await self._close()
        elif isinstance(event, Updated):
            self._idle = event.idle
            self._in_head = False
            if not event.idle:
                self._set_deadline(math.inf)
            elif self._context.terminated.is_set():
                self._set_deadline(0)
            else:
                self._set_deadline(self._limits.idle_timeout_s)

    async def _send_bytes(self, data: bytes) -> None:
        # Shielded: half an answer would spoil the connection. Each piece has a deadline of its own, so a large
        # answer to a slow but honest reader is not cut.
        with trio.CancelScope(shield=True) as scope:
            async with self._send_lock:
                for start in range(0, len(data), SEND_BYTES):
                    scope.deadline = trio.current_time() + self._limits.send_timeout_s
                    try:
                        await self._stream.send_all(memoryview(data)[start : start + SEND_BYTES])
                    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                        break
                else:
                    return
        if scope.cancelled_caught:
            self.abort()
        if self._protocol is not None:
            await self._protocol.handle(Closed())

    async def _close(self) -> None:
        """Ends our side; the reader ends when the client does, or in `LINGER_S`."""
        if self._closing:
            return
        self._set_deadline(LINGER_S)
        self._closing = True
        if self._protocol is not None:
            await self._protocol.handle(Closed())
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LINGER_S):
            try:
                if isinstance(self._stream, trio.SSLStream):
                    await self._stream.aclose()
                else:
                    await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, OSError):
                self.abort()
