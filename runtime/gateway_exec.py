"""Commands in any container, with input and output open, from any node: an `ExecStream` over the peer channel.

To the node: `_Input` frames. From it: Answers, the first one empty (or an error), then `_Output`, the last of which
holds the exit code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

import msgspec
import trio
from msgspec import Struct, field

from runtime.engine.base import ExecStream, LogStreamName
from runtime.engine.errors import EngineError
from runtime.framing import FrameError, FrameReader, send_frame
from runtime.gateway import Answer, EngineTrouble, GatewayError, NodeUnreachable, raise_error
from runtime.peers import PeerCalls, PeerFailures, PeerStream

EXEC_SERVICE = "container.exec"


class ExecRequest(Struct, frozen=True, kw_only=True):
    """With `tty` the command has a terminal, and all its output is stdout."""

    task_id: str
    command: list[str]
    tty: bool = False
    env: dict[str, str] = field(default_factory=dict)


class _Input(Struct, frozen=True, omit_defaults=True):
    """One of: bytes for stdin, its end, the terminal's new size (columns, rows)."""

    data: bytes = b""
    eof: bool = False
    size: tuple[int, int] | None = None


class _Output(Struct, frozen=True, omit_defaults=True):
    stream: LogStreamName = "stdout"
    data: bytes = b""
    ended: bool = False
    exit_code: int | None = None


class LocalExec(Protocol):
    """This node's own containers. Raises GatewayErrors when the context is entered."""

    def exec_stream(self, request: ExecRequest) -> AbstractAsyncContextManager[ExecStream]: ...


class RemoteExec:
    """`ExecStream` of another node's container. Raises GatewayErrors."""

    def __init__(self, node_id: str, stream: PeerStream, peer_failures: PeerFailures) -> None:
        self._node_id = node_id
        self._stream = stream
        self._frames = FrameReader(stream)
        self._peer_failures = peer_failures
        self._exit_code: int | None = None

    async def begin(self) -> None:
        """Returns when the command runs."""
        if await self._next() is None:
            raise NodeUnreachable(f"node {self._node_id} ended the command before it began")

    async def send(self, data: bytes) -> None:
        await self._tell(_Input(data=data))

    async def send_eof(self) -> None:
        await self._tell(_Input(eof=True))

    async def resize(self, *, columns: int, rows: int) -> None:
        await self._tell(_Input(size=(columns, rows)))

    async def receive(self) -> tuple[LogStreamName, bytes]:
        while True:
            answer = await self._next()
            if answer is None:
                return "stdout", b""
            output = msgspec.convert(answer.value, _Output)
            if output.ended:
                self._exit_code = output.exit_code
                return "stdout", b""
            if output.data:
                return output.stream, output.data

    async def exit_code(self) -> int | None:
        return self._exit_code

    async def _tell(self, message: _Input) -> None:
        try:
            await send_frame(self._stream, message)
        except self._peer_failures as error:
            raise NodeUnreachable(f"node {self._node_id} does not answer: {error}") from error

    async def _next(self) -> Answer | None:
        try:
            data = await self._frames.next()
            if data is None:
                return None
            answer = msgspec.msgpack.decode(data, type=Answer)
        except self._peer_failures as error:
            raise NodeUnreachable(f"node {self._node_id} does not answer: {error}") from error
        except (FrameError, msgspec.MsgspecError) as error:
            raise GatewayError(f"node {self._node_id} answered with rubbish: {error}") from error
        raise_error(answer)
        return answer


@asynccontextmanager
async def exec_elsewhere(
    peers: PeerCalls, node_id: str, request: ExecRequest, peer_failures: PeerFailures
) -> AsyncIterator[RemoteExec]:
    """Leaving the context ends the command's connection at its node, too."""
    try:
        async with peers.open_stream(node_id, EXEC_SERVICE, msgspec.to_builtins(request)) as stream:
            remote = RemoteExec(node_id, stream, peer_failures)
            await remote.begin()
            yield remote
    except peer_failures as error:
        raise NodeUnreachable(f"node {node_id} does not answer: {error}") from error


class ExecServer:
    """Runs commands for other nodes' gateways."""

    def __init__(self, local: LocalExec, *, peer_failures: PeerFailures) -> None:
        self._local = local
        self._peer_failures = peer_failures

    async def serve(self, peer: str, body: Any, stream: PeerStream) -> None:
        with suppress(*self._peer_failures):
            try:
                request = msgspec.convert(body, ExecRequest)
                async with self._local.exec_stream(request) as command:
                    await send_frame(stream, Answer())
                    await self._relay(command, stream)
            except msgspec.ValidationError as error:
                await _send_error(stream, GatewayError(f"not a request to run a command: {error}"))
            except GatewayError as error:
                await _send_error(stream, error)
            except EngineError as error:
                await _send_error(stream, EngineTrouble(str(error)))

    async def _relay(self, command: ExecStream, stream: PeerStream) -> None:
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_input, command, stream, nursery.cancel_scope)
            try:
                await _send_output(command, stream)
            except Exception as error:
                if not isinstance(error, (EngineError, *self._peer_failures)):
                    raise
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _take_input(self, command: ExecStream, stream: PeerStream, scope: trio.CancelScope) -> None:
        frames = FrameReader(stream)
        with suppress(FrameError, msgspec.MsgspecError, *self._peer_failures):
            while (data := await frames.next()) is not None:
                message = msgspec.msgpack.decode(data, type=_Input)
                # A command that has ended, or closed its stdin, takes no more; its output still matters.
                with suppress(EngineError, OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    await _hand_over(command, message)
        # Who asked has gone.
        scope.cancel()


async def _send_output(command: ExecStream, stream: PeerStream) -> None:
    while True:
        name, data = await command.receive()
        if not data:
            break
        await send_frame(stream, Answer(value=_Output(name, data)))
    await send_frame(stream, Answer(value=_Output(ended=True, exit_code=await command.exit_code())))
    await stream.send_eof()


async def _hand_over(command: ExecStream, message: _Input) -> None:
    if message.size is not None:
        await command.resize(columns=message.size[0], rows=message.size[1])
    elif message.eof:
        await command.send_eof()
    elif message.data:
        await command.send(message.data)


async def _send_error(stream: PeerStream, error: GatewayError) -> None:
    await send_frame(stream, Answer(error=error.code, message=str(error)))
