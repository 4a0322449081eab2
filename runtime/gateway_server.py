"""This node's end of the gateway: its own containers, for itself and for other nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Protocol

import msgspec
import trio

from runtime.engine.base import ContainerState, ContainerStats, CpuTime, Engine, ExecStream, LogLine
from runtime.engine.errors import ContainerNotFound, ContainerNotRunning, EngineError
from runtime.framing import send_frame
from runtime.gateway import (
    CPU_SERVICE,
    HEALTH_SERVICE,
    LOGS_SERVICE,
    NODE_HISTORY_SERVICE,
    STATS_SERVICE,
    Answer,
    ContainerGone,
    EngineTrouble,
    GatewayError,
    LogRequest,
)
from runtime.gateway_exec import EXEC_SERVICE, ExecRequest, ExecServer
from runtime.health.tracker import HealthReport
from runtime.peers import PeerFailures, PeerServices, PeerStream
from runtime.vitals import NodeVitals

_QUEUED_LINES = 256
_BATCH_BYTES = 64 * 1024
_ASKED_AT_ONCE = 16
"""Counters that the engine is asked for side by side."""


class TaskContainers(Protocol):
    """What the agent knows of this node's tasks."""

    def container(self, task_id: str) -> ContainerState | None: ...
    def health(self, task_id: str) -> HealthReport | None: ...


@contextmanager
def _translated(task_id: str) -> Iterator[None]:
    try:
        yield
    except ContainerNotFound as error:
        raise ContainerGone(f"container {task_id} is gone") from error
    except ContainerNotRunning as error:
        raise ContainerGone(f"container {task_id} is not running") from error
    except EngineError as error:
        raise EngineTrouble(str(error)) from error


class NodeContainers:
    """`LocalContainers` over the agent and the engine. Raises GatewayErrors."""

    def __init__(self, tasks: TaskContainers, engine: Engine, history: Callable[[], list[NodeVitals]]) -> None:
        self._tasks = tasks
        self._engine = engine
        self._history = history

    def _engine_id(self, task_id: str) -> str:
        container = self._tasks.container(task_id)
        if container is None:
            raise ContainerGone(f"container {task_id} has not been created, or is gone")
        return container.engine_id

    async def stats(self, task_id: str) -> ContainerStats:
        with _translated(task_id):
            return await self._engine.stats(self._engine_id(task_id))

    async def cpu_times(self, task_ids: Sequence[str]) -> dict[str, CpuTime]:
        found: dict[str, CpuTime] = {}
        limiter = trio.CapacityLimiter(_ASKED_AT_ONCE)

        async def ask(task_id: str) -> None:
            async with limiter:
                # One that does not run has no counter; an engine in trouble has none to tell.
                with suppress(GatewayError), _translated(task_id):
                    found[task_id] = await self._engine.cpu_time(self._engine_id(task_id))

        async with trio.open_nursery() as nursery:
            for task_id in task_ids:
                nursery.start_soon(ask, task_id)
        return found

    def health(self, task_id: str) -> HealthReport:
        report = self._tasks.health(task_id)
        if report is None:
            raise ContainerGone(f"container {task_id} has not run on this node")
        return report

    def history(self) -> list[NodeVitals]:
        return self._history()

    @asynccontextmanager
    async def logs(self, request: LogRequest) -> AsyncIterator[AsyncIterator[LogLine]]:
        engine_id = self._engine_id(request.task_id)
        with _translated(request.task_id):
            async with self._engine.logs(
                engine_id,
                tail=request.tail,
                since_s=request.since_s,
                until_s=request.until_s,
                follow=request.follow,
            ) as lines:
                yield lines

    @asynccontextmanager
    async def exec_stream(self, request: ExecRequest) -> AsyncIterator[ExecStream]:
        engine_id = self._engine_id(request.task_id)
        with _translated(request.task_id):
            async with self._engine.exec_stream(
                engine_id, request.command, tty=request.tty, env=request.env
            ) as command:
                yield command


class GatewayServer:
    """Answers other nodes' gateways."""

    def __init__(self, local: NodeContainers, *, peer_failures: PeerFailures) -> None:
        self._local = local
        self._peer_failures = peer_failures
        self._exec = ExecServer(local, peer_failures=peer_failures)

    def serve(self, services: PeerServices) -> None:
        services.serve(STATS_SERVICE, self._stats)
        services.serve(CPU_SERVICE, self._cpu_times)
        services.serve(HEALTH_SERVICE, self._health)
        services.serve(NODE_HISTORY_SERVICE, self._node_history)
        services.serve_stream(LOGS_SERVICE, self._logs)
        services.serve_stream(EXEC_SERVICE, self._exec.serve)

    async def _stats(self, peer: str, body: Any) -> Any:
        try:
            return _answer(await self._local.stats(str(body)))
        except GatewayError as error:
            return _error(error)

    async def _cpu_times(self, peer: str, body: Any) -> Any:
        return _answer(await self._local.cpu_times([str(task_id) for task_id in body]))

    async def _health(self, peer: str, body: Any) -> Any:
        try:
            return _answer(self._local.health(str(body)))
        except GatewayError as error:
            return _error(error)

    async def _node_history(self, peer: str, body: Any) -> Any:
        return _answer(self._local.history())

    async def _logs(self, peer: str, body: Any, stream: PeerStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_gone, stream, nursery.cancel_scope)
            # The reader going away is how a followed log ends.
            with suppress(*self._peer_failures):
                await self._send_log(body, stream)
            nursery.cancel_scope.cancel()

    async def _until_gone(self, stream: PeerStream, scope: trio.CancelScope) -> None:
        """A quiet log sends nothing, so only reading shows that the reader has gone."""
        with suppress(*self._peer_failures):
            while await stream.receive():
                continue
        scope.cancel()

    async def _send_log(self, body: Any, stream: PeerStream) -> None:
        try:
            request = msgspec.convert(body, LogRequest)
            async with self._local.logs(request) as lines:
                await send_frame(stream, _answer([]))
                await self._send_lines(lines, stream)
        except msgspec.ValidationError as error:
            await send_frame(stream, _error(GatewayError(f"not a log request: {error}")))
        except GatewayError as error:
            await send_frame(stream, _error(error))

    async def _send_lines(self, lines: AsyncIterator[LogLine], stream: PeerStream) -> None:
        """As many lines to a frame as there are without waiting for more."""
        send, receive = trio.open_memory_channel[LogLine](_QUEUED_LINES)
        failure: Exception | None = None

        async def read() -> None:
            nonlocal failure
            async with send:
                try:
                    async for line in lines:
                        await send.send(line)
                except EngineError as error:
                    failure = error

        async with trio.open_nursery() as nursery, receive:
            nursery.start_soon(read)
            try:
                async for line in receive:
                    await send_frame(stream, _answer(_with_more(line, receive)))
            except self._peer_failures as error:
                failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _with_more(line: LogLine, receive: trio.MemoryReceiveChannel[LogLine]) -> list[LogLine]:
    batch, size = [line], len(line.text)
    while size < _BATCH_BYTES:
        try:
            batch.append(receive.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            break
        size += len(batch[-1].text)
    return batch


def _answer(value: Any) -> Any:
    return msgspec.to_builtins(Answer(value=msgspec.to_builtins(value, builtin_types=(bytes,))), builtin_types=(bytes,))


def _error(error: GatewayError) -> Any:
    return msgspec.to_builtins(Answer(error=error.code, message=str(error)))
