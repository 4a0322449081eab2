"""A command in a container over a WebSocket.

Binary messages begin with a byte that names the channel: 0 is stdin (from the client), 1 stdout, 2 stderr. Text
messages are JSON: from the client ``{"type": "resize", "columns": 80, "rows": 24}``, ``{"type": "eof"}`` and
``{"type": "stdin", "data": "ls\\n"}``; from the node, at the end, ``{"type": "exit", "exit_code": 0}``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio
from msgspec import Struct

from api.answer import encode
from api.deps import ContainerGone, ExecStream, NodeUnreachable
from api.errors import InvalidRequest
from api.events.closing import Closing
from api.events.websocket import GOING_AWAY, UNAUTHENTICATED, CloseReason

STDIN, STDOUT, STDERR = 0, 1, 2
_CHANNELS = {"stdout": bytes([STDOUT]), "stderr": bytes([STDERR])}
DEFAULT_COMMAND = ("sh",)
MAX_SIZE = 65535
FAILED = 1011
UNREADABLE = 1003


class Socket(Protocol):
    """An accepted WebSocket."""

    async def send(self, data: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self, code: int, reason: str = ...) -> None: ...


class _Control(Struct, frozen=True):
    type: str
    columns: int = 0
    rows: int = 0
    data: str = ""


class _Exit(Struct, frozen=True):
    exit_code: int | None
    type: str = "exit"


_control = msgspec.json.Decoder(_Control)


def parse_command(text: str | None) -> tuple[str, ...]:
    """Words as a shell splits them, or a JSON list. Raises InvalidRequest."""
    if text is None:
        return DEFAULT_COMMAND
    try:
        words = msgspec.json.decode(text, type=list[str]) if text.startswith("[") else shlex.split(text)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"parameter 'command': {error}") from None
    if not words:
        raise InvalidRequest("parameter 'command': expected a command, got none")
    return tuple(words)


async def run(
    socket: Socket, command: ExecStream, closing: Closing, *, check_s: float, still_allowed: Callable[[], bool]
) -> None:
    """Until the command ends, the server shuts down, or the credentials end. Cancelled when the client goes away."""
    why: CloseReason | None = None
    async with trio.open_nursery() as nursery:

        async def end(reason: CloseReason) -> None:
            nonlocal why
            why = reason
            nursery.cancel_scope.cancel()

        async def watch() -> None:
            while True:
                with closing.wait_scope(check_s):
                    await trio.sleep_forever()
                if closing.closed:
                    await end(GOING_AWAY)
                elif not still_allowed():
                    await end(UNAUTHENTICATED)

        async def take_input() -> None:
            await end(await _take_input(socket, command))

        nursery.start_soon(watch)
        nursery.start_soon(take_input)
        await end(await _send_output(socket, command))
    if why is not None:
        await socket.close(why.code, why.reason)


async def _send_output(socket: Socket, command: ExecStream) -> CloseReason:
    try:
        while True:
            stream, data = await command.receive()
            if not data:
                break
            await socket.send(_CHANNELS[stream] + data)
        await socket.send(encode(_Exit(await command.exit_code())).decode())
    except (NodeUnreachable, ContainerGone) as error:
        return CloseReason(FAILED, str(error)[:100])
    return CloseReason(1000, "the command has ended")


async def _take_input(socket: Socket, command: ExecStream) -> CloseReason:
    while True:
        message = await socket.receive()
        try:
            await _hand_over(message, command)
        except (msgspec.MsgspecError, ValueError) as error:
            return CloseReason(UNREADABLE, str(error)[:100])
        except (NodeUnreachable, ContainerGone, OSError):
            # It has ended, or reads no more: what it says last, or the error, comes with the output.
            await trio.sleep_forever()


async def _hand_over(message: str | bytes, command: ExecStream) -> None:
    if isinstance(message, bytes):
        if message[:1] != bytes([STDIN]):
            raise ValueError("expected channel 0 (stdin)")
        if len(message) > 1:
            await command.send(message[1:])
        return
    control = _control.decode(message)
    if control.type == "resize":
        if not (0 < control.columns <= MAX_SIZE and 0 < control.rows <= MAX_SIZE):
            raise ValueError("expected columns and rows from 1 to 65535")
        await command.resize(columns=control.columns, rows=control.rows)
    elif control.type == "eof":
        await command.send_eof()
    elif control.type == "stdin":
        await command.send(control.data.encode())
    else:
        raise ValueError(f"unknown message type {control.type[:20]!r}")
