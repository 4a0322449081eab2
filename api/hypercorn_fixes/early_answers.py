"""HTTP/1.1 on one connection, with answers that may come before the request's body was read.

hypercorn 0.18 closes a connection whose request's body was not read, with a reset that takes the answer with it. Here
what is left of the body is read and thrown away, within limits, so that the connection can go on.

Cleartext HTTP/2 is not spoken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import h11
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent

from api.answer import JSON, encode_error
from api.errors import of_status

MAX_DRAINED_BYTES = 256 * 1024 * 1024
BodyLimit = Callable[[str, str], int | None]
SEND_RAW = "hivemind.send_raw"
"""Where an app finds `Http11._send_raw` in the ASGI scope's state."""


class Http11(H11Protocol):
    """One connection's protocol.

    Args:
        body_limit_bytes: by method and path; a client that asks first (``Expect: 100-continue``) is not told to send
            a larger body. None: there is no limit.
        draining: called when the rest of a body is thrown away from now on.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        task_group: TaskGroup,
        *,
        ssl: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Callable[[Event], Awaitable[None]],
        body_limit_bytes: BodyLimit,
        draining: Callable[[], None],
    ) -> None:
        state = ConnectionState({SEND_RAW: self._send_raw})
        super().__init__(app, config, context, task_group, state, ssl, client, server, send)
        self._body_limit_bytes = body_limit_bytes
        self._on_draining = draining
        self._drained_bytes: int | None = None
        self._withhold_continue = False
        self._closed = False
        self._held_head = b""

    async def handle(self, event: Event) -> None:
        if isinstance(event, RawData):
            if self._closed:
                return
            self.connection.receive_data(event.data)
            await self._handle_events()
        elif isinstance(event, Closed):
            self._closed = True
            # A pipelined request may wait for an answer that will never be finished.
            await self.can_read.set()
            await self._close_stream()

    async def _send_raw(self, data: bytes) -> None:
        """Puts bytes on the connection as they are: whole frames, for an accepted WebSocket only.

        wsproto and its share of the CPU are passed by; its own frames (pongs, the close) do not come between.
        """
        if not self._closed:
            await self.send(RawData(data))

    async def refuse(self, status_code: int) -> None:
        """Answers what never became a request, and closes."""
        if self.stream is None and self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send_error_response(status_code)
        await self.send(Closed())

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """The head of an answer whose length is told goes out with its body: one write, and one packet if small."""
        try:
            data = self._held_head + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        self._held_head = b""
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            self._held_head = data
        elif data:
            await self.send(RawData(data))

    async def stream_send(self, event: StreamEvent) -> None:
        refused_upgrade = isinstance(self.connection, H11WSConnection)
        if isinstance(event, Response) and event.status_code >= 200 and (self._withhold_continue or refused_upgrade):
            # The client may or may not send its body now, or takes the connection for a WebSocket: nothing that
            # follows on this connection is certain.
            headers = [*event.headers, (b"connection", b"close")]
            event = Response(stream_id=event.stream_id, headers=headers, status_code=event.status_code)
        await super().stream_send(event)

    async def _handle_events(self) -> None:
        while not self._closed:
            await self._maybe_continue()
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                await self.refuse(error.error_status_hint)
                return
            if isinstance(event, h11.Request):
                await self.send(Updated(idle=False))
                if not event.target.startswith((b"/", b"http://", b"https://", b"*")):
                    await self.refuse(400)
                    return
                await self._begin(event)
            elif event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return
            elif isinstance(event, h11.Data | h11.EndOfMessage) and self._drained_bytes is not None:
                if not await self._drain(event):
                    return
            elif self.stream is None:
                return
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(stream_id=STREAM_ID, data=bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                await self.stream.handle(EndBody(stream_id=STREAM_ID))
            else:
                await self.stream.handle(event)  # type: ignore[arg-type]  # a WebSocket's bytes

    async def _maybe_continue(self) -> None:
        if self.connection.they_are_waiting_for_100_continue and not self._withhold_continue:
            headers = self.config.response_headers("h11")
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=headers))

    async def _begin(self, request: h11.Request) -> None:
        length = next((value for name, value in request.headers if name == b"content-length"), b"0")
        limit = self._body_limit_bytes(request.method.decode(), urlsplit(request.target.decode(errors="replace")).path)
        self._withhold_continue = (
            self.connection.they_are_waiting_for_100_continue and limit is not None and int(length) > limit
        )
        await self._create_stream(request)

    async def _drain(self, event: h11.Data | h11.EndOfMessage) -> bool:
        """Whether the connection goes on."""
        if isinstance(event, h11.Data):
            self._drained_bytes = (self._drained_bytes or 0) + len(event.data)
            if self._drained_bytes <= MAX_DRAINED_BYTES:
                return True
            await self.send(Closed())
            return False
        self._drained_bytes = None
        await self._recycle()
        return not self._closed

    async def _maybe_recycle(self) -> None:
        """The answer is out."""
        connection = self.connection
        if (
            not isinstance(connection, H11WSConnection)
            and connection.our_state in (h11.DONE, h11.MUST_CLOSE)
            and connection.their_state is h11.SEND_BODY
            and not self._withhold_continue
            and not self._closed
        ):
            # First of all: more of the body may arrive while the stream is closed.
            self._drained_bytes = 0
            self._on_draining()
            await self._close_stream()
        else:
            await self._close_stream()
            await self._recycle()

    async def _recycle(self) -> None:
        connection: Any = self.connection
        if (
            not self._closed
            and not self.context.terminated.is_set()
            and connection.our_state is h11.DONE
            and connection.their_state is h11.DONE
        ):
            connection.start_next_cycle()
            self._withhold_continue = False
            await self.send(Updated(idle=True))
        else:
            await self.send(Closed())
        await self.can_read.set()

    async def _close_stream(self) -> None:
        if self.stream is not None:
            stream, self.stream = self.stream, None
            await stream.handle(StreamClosed(stream_id=STREAM_ID))

    async def _send_error_response(self, status_code: int) -> None:
        body = encode_error(of_status(status_code))
        headers = [
            (b"content-type", JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=of_status(status_code).status, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
