"""Logs, stats and health of any container, from any node: straight here, over the peer channel elsewhere.

GatewayError
├── NodeUnreachable    temporary: the node that has it does not answer
├── ContainerGone      there is no such container (any more), or it does not run
└── EngineTrouble      temporary: its engine cannot tell just now
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct

from consensus.model.task import Task
from runtime.engine.base import ContainerStats, CpuTime, LogLine
from runtime.framing import FrameError, FrameReader
from runtime.health.tracker import HealthReport
from runtime.peers import PeerCalls, PeerFailures
from runtime.vitals import NodeVitals

STATS_SERVICE = "container.stats"
CPU_SERVICE = "container.cpu"
HEALTH_SERVICE = "container.health"
LOGS_SERVICE = "container.logs"
NODE_HISTORY_SERVICE = "node.history"
CALL_TIMEOUT_S = 10.0


class GatewayError(Exception):
    """Base of what the gateway raises; the text is for the user."""

    code: ClassVar[str] = "error"
    temporary: ClassVar[bool] = False


class NodeUnreachable(GatewayError):
    """The node that has the container does not answer."""

    code: ClassVar[str] = "unreachable"
    temporary: ClassVar[bool] = True


class ContainerGone(GatewayError):
    """There is no such container, or it does not run and so has nothing to tell."""

    code: ClassVar[str] = "gone"


class EngineTrouble(GatewayError):
    """The container's engine cannot tell just now, in its words."""

    code: ClassVar[str] = "engine"
    temporary: ClassVar[bool] = True


class LogRequest(Struct, frozen=True, kw_only=True):
    """The last `tail` lines (None: all) between two times in Unix seconds; `follow` goes on to the end."""

    task_id: str
    tail: int | None = None
    since_s: float | None = None
    until_s: float | None = None
    follow: bool = False


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one node answers another: a value, or an error by its code."""

    value: Any = None
    error: str = ""
    message: str = ""


def raise_error(answer: Answer) -> None:
    """Raises the error that `answer` tells of, if it does."""
    for kind in (ContainerGone, EngineTrouble):
        if answer.error == kind.code:
            raise kind(answer.message)
    if answer.error:
        raise GatewayError(answer.message)


class LocalContainers(Protocol):
    """This node's own containers (`gateway_server`)."""

    async def stats(self, task_id: str) -> ContainerStats: ...
    async def cpu_times(self, task_ids: Sequence[str]) -> dict[str, CpuTime]: ...
    def health(self, task_id: str) -> HealthReport: ...
    def logs(self, request: LogRequest) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]: ...
    def history(self) -> list[NodeVitals]: ...


class ContainerGateway:
    """All methods raise GatewayErrors and nothing else on purpose."""

    def __init__(self, *, node_id: str, local: LocalContainers, peers: PeerCalls, peer_failures: PeerFailures) -> None:
        self._node_id = node_id
        self._local = local
        self._peers = peers
        self._peer_failures = peer_failures

    async def stats(self, task: Task) -> ContainerStats:
        node_id = _node_of(task)
        if node_id == self._node_id:
            return await self._local.stats(task.id)
        return msgspec.convert(await self._ask(node_id, STATS_SERVICE, task.id), ContainerStats)

    async def cpu_times(self, node_id: str, task_ids: Sequence[str]) -> dict[str, CpuTime]:
        """Of those of these tasks that run on the node; the others are left out."""
        if node_id == self._node_id:
            return await self._local.cpu_times(task_ids)
        return msgspec.convert(await self._ask(node_id, CPU_SERVICE, list(task_ids)), dict[str, CpuTime])

    async def health(self, task: Task) -> HealthReport:
        """The owning node's probe results, newest first."""
        node_id = _node_of(task)
        if node_id == self._node_id:
            return self._local.health(task.id)
        return msgspec.convert(await self._ask(node_id, HEALTH_SERVICE, task.id), HealthReport)

    async def node_history(self, node_id: str) -> list[NodeVitals]:
        """A node's samples of the last minutes, oldest first."""
        if node_id == self._node_id:
            return self._local.history()
        return msgspec.convert(await self._ask(node_id, NODE_HISTORY_SERVICE, None), list[NodeVitals])

    @asynccontextmanager
    async def logs(
        self,
        task: Task,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AsyncIterator[AsyncIterator[LogLine]]:
        """Lines as they were written. Leaving the context ends the stream at its node, too."""
        request = LogRequest(task_id=task.id, tail=tail, since_s=since_s, until_s=until_s, follow=follow)
        node_id = _node_of(task)
        if node_id == self._node_id:
            async with self._local.logs(request) as lines:
                yield lines
            return
        try:
            async with self._peers.open_stream(node_id, LOGS_SERVICE, msgspec.to_builtins(request)) as stream:
                lines = _RemoteLines(node_id, FrameReader(stream), self._peer_failures)
                await lines.begin()
                yield lines
        except self._peer_failures as error:
            raise NodeUnreachable(f"node {node_id} does not answer: {error}") from error

    async def _ask(self, node_id: str, service: str, body: Any) -> Any:
        try:
            answered = await self._peers.call(node_id, service, body, timeout_s=CALL_TIMEOUT_S)
        except self._peer_failures as error:
            raise NodeUnreachable(f"node {node_id} does not answer: {error}") from error
        try:
            answer = msgspec.convert(answered, Answer)
        except msgspec.ValidationError as error:
            raise GatewayError(f"node {node_id} answered with rubbish: {error}") from error
        raise_error(answer)
        return answer.value


class _RemoteLines(AsyncIterator[LogLine]):
    """The lines of another node's container, frame by frame."""

    def __init__(self, node_id: str, frames: FrameReader, peer_failures: PeerFailures) -> None:
        self._node_id = node_id
        self._frames = frames
        self._peer_failures = peer_failures
        self._lines: deque[LogLine] = deque()

    async def begin(self) -> None:
        """Takes the first frame, which says whether there is a log at all."""
        if not await self._more():
            raise NodeUnreachable(f"node {self._node_id} ended the log before it began")

    async def __anext__(self) -> LogLine:
        while not self._lines:
            if not await self._more():
                raise StopAsyncIteration
        return self._lines.popleft()

    async def _more(self) -> bool:
        try:
            data = await self._frames.next()
            if data is None:
                return False
            answer = msgspec.msgpack.decode(data, type=Answer)
            raise_error(answer)
            self._lines.extend(msgspec.convert(answer.value, list[LogLine]))
        except self._peer_failures as error:
            raise NodeUnreachable(f"node {self._node_id} does not answer: {error}") from error
        except (FrameError, msgspec.MsgspecError) as error:
            raise GatewayError(f"node {self._node_id} answered with rubbish: {error}") from error
        return True


def _node_of(task: Task) -> str:
    if task.node_id is None:
        raise ContainerGone(f"container {task.id} is not placed on a node yet")
    return task.node_id
