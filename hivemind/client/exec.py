"""A command in a container, over a WebSocket; trio only.

Binary messages begin with a byte that names the channel, text ones are JSON: see api/exec_socket.py.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, open_websocket_url

from hivemind.client.credentials import Credentials
from hivemind.client.errors import ApiError, ServerUnreachable

CONNECT_TIMEOUT_S = 10.0
_STDIN = b"\0"
_CHANNELS = {1: "stdout", 2: "stderr"}


class TerminalSize(Struct, frozen=True):
    columns: int
    rows: int


class Output(Struct, frozen=True):
    """`channel` is stdout or stderr; with a terminal all of it is stdout."""

    channel: str
    data: bytes


class Ended(Struct, frozen=True):
    """None: the engine does not know."""

    exit_code: int | None


class _Error(Struct, frozen=True):
    code: str = "internal_error"
    message: str = ""


class _Refusal(Struct, frozen=True):
    error: _Error


class ExecSession:
    """A running command. What is sent to one that reads no more is lost."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        await self._send(_STDIN + data)

    async def send_eof(self) -> None:
        await self._send('{"type": "eof"}')

    async def resize(self, size: TerminalSize) -> None:
        await self._send(msgspec.json.encode({"type": "resize", "columns": size.columns, "rows": size.rows}).decode())

    async def _send(self, message: str | bytes) -> None:
        try:
            await self._socket.send_message(message)
        except ConnectionClosed:
            # Why is told where its output is read.
            return

    async def receive(self) -> Output | Ended:
        """Raises ServerUnreachable where the connection ends before the command does."""
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as closed:
            reason = closed.reason.reason if closed.reason is not None else None
            raise ServerUnreachable(f"the command's connection ended: {reason or 'no reason given'}") from None
        if isinstance(message, str):
            return msgspec.json.decode(message, type=Ended)
        return Output(_CHANNELS[message[0]], bytes(message[1:]))


@asynccontextmanager
async def open_exec(
    servers: Sequence[str],
    credentials: Credentials | None,
    container_id: str,
    command: Sequence[str],
    *,
    size: TerminalSize | None = None,
) -> AsyncIterator[ExecSession]:
    """Starts `command` through the first of `servers` that answers; leaving ends its connection.

    With `size` it has a terminal.

    Raises:
        ApiError: the API refused.
        ServerUnreachable: no server answered.
    """
    query = {"command": msgspec.json.encode(list(command)).decode()} if command else {}
    if size is not None:
        query |= {"tty": "true", "columns": str(size.columns), "rows": str(size.rows)}
    path = f"/api/containers/{quote(container_id, safe='')}/exec?{urlencode(query)}"
    problem: Exception | None = None
    for server in servers:
        async with AsyncExitStack() as stack:
            try:
                socket = await stack.enter_async_context(_connected(server, path, credentials))
            except ConnectionRejected as rejected:
                raise _refusal(rejected) from None
            except (OSError, HandshakeError) as error:
                problem = error
                continue
            yield ExecSession(socket)
            return
    told = str(problem) or "the connection was not taken"
    raise ServerUnreachable(f"no server answers, of {', '.join(servers)}: {told}")


def _connected(
    server: str, path: str, credentials: Credentials | None
) -> AbstractAsyncContextManager[WebSocketConnection]:
    secure, _, rest = server.rstrip("/").removesuffix("/api").partition("://")
    headers = [] if credentials is None else [(b"Authorization", credentials.header.encode())]
    return open_websocket_url(
        f"{'wss' if secure == 'https' else 'ws'}://{rest}{path}",
        ssl_context=ssl.create_default_context() if secure == "https" else None,
        extra_headers=headers,
        connect_timeout=CONNECT_TIMEOUT_S,
    )


def _refusal(rejected: ConnectionRejected) -> ApiError:
    try:
        error = msgspec.json.decode(rejected.body or b"", type=_Refusal).error
    except msgspec.MsgspecError:
        error = _Error(message=f"the server answered {rejected.status_code}")
    return ApiError(rejected.status_code, error.code, error.message)
