"""The API's gateways (api/deps.py) over the runtime's: types and errors of the one in those of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from api import deps
from consensus.model.task import Task
from hivemind import leaving
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError, PeerRefusal
from runtime.engine.base import ExecStream, LogLine
from runtime.engine.errors import EngineError
from runtime.gateway import ContainerGateway, ContainerGone, GatewayError
from runtime.gateway_exec import ExecRequest, exec_elsewhere
from runtime.gateway_server import NodeContainers
from runtime.health.tracker import HealthReport
from runtime.vitals import unpack

LEAVE_TIMEOUT_S = 5.0


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ContainerGone as error:
        raise deps.ContainerGone(str(error)) from error
    except GatewayError as error:
        raise deps.NodeUnreachable(str(error)) from error
    except EngineError as error:
        raise deps.ContainerGone(str(error)) from error


class ApiContainers:
    """Implements deps.ContainerGateway."""

    def __init__(self, gateway: ContainerGateway, *, node_id: str, local: NodeContainers, channel: PeerChannel) -> None:
        self._gateway = gateway
        self._node_id = node_id
        self._local = local
        self._channel = channel

    @asynccontextmanager
    async def logs(
        self,
        task: Task,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AsyncIterator[AsyncIterator[deps.LogLine]]:
        with _translated():
            async with self._gateway.logs(task, tail=tail, since_s=since_s, until_s=until_s, follow=follow) as lines:
                yield _Lines(lines)

    @asynccontextmanager
    async def exec(self, task: Task, command: Sequence[str], *, tty: bool) -> AsyncIterator[deps.ExecStream]:
        if task.node_id is None:
            raise deps.ContainerGone(f"container {task.id} is not placed on a node yet")
        request = ExecRequest(task_id=task.id, command=list(command), tty=tty)
        with _translated():
            if task.node_id == self._node_id:
                async with self._local.exec_stream(request) as local:
                    yield _Exec(local)
            else:
                async with exec_elsewhere(self._channel, task.node_id, request, (PeerError,)) as remote:
                    yield _Exec(remote)

    async def stats(self, task: Task) -> deps.ContainerStats:
        with _translated():
            stats = await self._gateway.stats(task)
        return deps.ContainerStats(
            cpu_percent=stats.cpu_percent,
            memory_bytes=stats.memory_bytes,
            memory_limit_bytes=stats.memory_limit_bytes,
            network_rx_bytes=stats.network_rx_bytes,
            network_tx_bytes=stats.network_tx_bytes,
            block_read_bytes=stats.block_read_bytes,
            block_write_bytes=stats.block_write_bytes,
            timestamp_s=stats.timestamp_s,
        )

    async def health(self, task: Task) -> deps.HealthReport:
        with _translated():
            return _health(await self._gateway.health(task))


class _Exec:
    """Errors of the runtime in those of the API."""

    def __init__(self, stream: ExecStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        with _translated():
            await self._stream.send(data)

    async def send_eof(self) -> None:
        with _translated():
            await self._stream.send_eof()

    async def receive(self) -> tuple[str, bytes]:
        with _translated():
            return await self._stream.receive()

    async def resize(self, *, columns: int, rows: int) -> None:
        with _translated():
            await self._stream.resize(columns=columns, rows=rows)

    async def exit_code(self) -> int | None:
        with _translated():
            return await self._stream.exit_code()


class _Lines(AsyncIterator[deps.LogLine]):
    def __init__(self, lines: AsyncIterator[LogLine]) -> None:
        self._lines = lines

    async def __anext__(self) -> deps.LogLine:
        with _translated():
            line = await anext(self._lines)
        return deps.LogLine(line.stream, line.timestamp_s, line.text.decode(errors="replace"))


def _health(report: HealthReport) -> deps.HealthReport:
    return deps.HealthReport(
        last_check_s=report.last_check_s,
        consecutive_failures=report.consecutive_failures,
        history=tuple(
            deps.ProbeResult(record.timestamp_s, record.health.value, record.message or None)
            for record in report.history
        ),
    )


class ApiNodes:
    """Implements deps.NodeGateway."""

    def __init__(self, gateway: ContainerGateway, channel: PeerChannel) -> None:
        self._gateway = gateway
        self._channel = channel

    async def history(self, node_id: str) -> list[deps.NodeSample]:
        with _translated():
            samples = await self._gateway.node_history(node_id)
        return [
            deps.NodeSample(
                timestamp_s=sample.timestamp_s,
                cpu_percent=sample.cpu_percent,
                memory_percent=sample.memory_percent,
                disk_percent=sample.disk_percent,
            )
            for sample in reversed(samples)
        ]

    async def request_leave(self, node_id: str) -> None:
        try:
            await self._channel.call(node_id, leaving.SERVICE, None, timeout_s=LEAVE_TIMEOUT_S)
        except PeerRefusal as error:
            raise deps.LeaveRefused(error.message) from error
        except PeerError as error:
            raise deps.NodeUnreachable(str(error)) from error


def api_vitals(packed: bytes) -> deps.NodeVitals | None:
    """A member's vitals as gossiped, in the API's shape; None where they cannot be read."""
    vitals = unpack(packed)
    if vitals is None:
        return None
    return deps.NodeVitals(
        cpu_percent=vitals.cpu_percent,
        load=vitals.load,
        memory_used_bytes=vitals.memory_total_bytes - vitals.memory_available_bytes,
        memory_available_bytes=vitals.memory_available_bytes,
        memory_total_bytes=vitals.memory_total_bytes,
        disk_used_bytes=vitals.disk_total_bytes - vitals.disk_available_bytes,
        disk_available_bytes=vitals.disk_available_bytes,
        disk_total_bytes=vitals.disk_total_bytes,
        container_count=vitals.container_count,
    )
