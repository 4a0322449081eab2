"""Connections to a replica: straight where it runs here, through a peer stream where it runs on another node.

The stream's request names a task, a container port and a protocol; the other node connects only to what its own
replica says is a task of its own, so that a peer cannot be made to dial anything else. It answers one byte, then it is
bytes; for UDP each datagram goes behind its length.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from consensus.machine import Machine
from consensus.model.task import Task
from consensus.state import State
from runtime.network.datagrams import Datagrams, SocketDatagrams, StreamDatagrams, exchange
from runtime.network.pump import ByteStream, SocketBytes, pump
from runtime.network.routes import Backend, backend_of
from runtime.peers import PeerCalls, PeerFailures, PeerStream

SERVICE = "mesh"
CONNECT_TIMEOUT_S = 2.0
_READY, _FAILED = b"\x01", b"\x00"


class DialFailed(Exception):
    """No connection to the endpoint; nothing was sent to it."""


def broken_errors(peer_failures: PeerFailures) -> tuple[type[Exception], ...]:
    """What either kind of connection may raise while it is used."""
    return (trio.BrokenResourceError, trio.ClosedResourceError, OSError, *peer_failures)


@asynccontextmanager
async def dial_local(backend: Backend) -> AsyncIterator[ByteStream]:
    """Raises DialFailed."""
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            stream = await trio.open_tcp_stream(backend.address, backend.port)
    except (OSError, trio.TooSlowError) as error:
        raise DialFailed(f"{backend.task_id} at {backend.address}:{backend.port}: {error}") from error
    async with stream:
        yield SocketBytes(stream)


@asynccontextmanager
async def udp_to(backend: Backend) -> AsyncIterator[Datagrams]:
    """Raises DialFailed."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        try:
            await socket.connect((backend.address, backend.port))
        except OSError as error:
            raise DialFailed(f"{backend.task_id} at {backend.address}:{backend.port}: {error}") from error
        yield SocketDatagrams(socket)


class Dialer:
    """Dials backends of this node and of others. `broken`: what a connection may raise while it is used."""

    def __init__(self, node_id: str, peers: PeerCalls, *, peer_failures: PeerFailures) -> None:
        self.node_id = node_id
        self._peers = peers
        self._peer_failures = peer_failures
        self.broken = broken_errors(peer_failures)

    def dial(self, backend: Backend) -> AbstractAsyncContextManager[ByteStream]:
        """Raises DialFailed on entering."""
        return dial_local(backend) if self._is_near(backend) else self._dial_remote(backend, "tcp")

    @asynccontextmanager
    async def dial_udp(self, backend: Backend) -> AsyncIterator[Datagrams]:
        """Raises DialFailed on entering."""
        if self._is_near(backend):
            async with udp_to(backend) as datagrams:
                yield datagrams
        else:
            async with self._dial_remote(backend, "udp") as stream:
                yield StreamDatagrams(stream)

    def _is_near(self, backend: Backend) -> bool:
        return backend.node_id in (self.node_id, "")

    @asynccontextmanager
    async def _dial_remote(self, backend: Backend, protocol: str) -> AsyncIterator[ByteStream]:
        request = {"task_id": backend.task_id, "container_port": backend.container_port, "protocol": protocol}
        where = f"{backend.task_id} on {backend.node_id}"
        opened = False
        try:
            with trio.move_on_after(2 * CONNECT_TIMEOUT_S) as scope:
                async with self._peers.open_stream(backend.node_id, SERVICE, request) as stream:
                    upstream = await _answered(where, stream)
                    opened, scope.deadline = True, math.inf
                    yield upstream
        except self._peer_failures as error:
            if opened:
                raise
            raise DialFailed(f"{where}: {error}") from error
        if scope.cancelled_caught:
            raise DialFailed(f"{where}: no answer within {2 * CONNECT_TIMEOUT_S:g} s")


async def _answered(where: str, stream: PeerStream) -> ByteStream:
    answer = await stream.receive()
    if answer[:1] != _READY:
        reason = answer[1:].decode(errors="replace") or "the stream ended"
        raise DialFailed(f"{where}: {reason}")
    return _Ahead(stream, answer[1:])


class _Ahead:
    """A stream of which some bytes were read with the answer already."""

    def __init__(self, stream: PeerStream, ahead: bytes) -> None:
        self._stream = stream
        self._ahead = ahead
        self.send = stream.send
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def receive(self) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return await self._stream.receive()


class MeshServer:
    """The other end: takes mesh streams from peers to tasks of this node."""

    def __init__(
        self, node_id: str, machine: Machine, *, peer_failures: PeerFailures, idle_s: float, udp_idle_s: float
    ) -> None:
        self._node_id = node_id
        self._udp_idle_s = udp_idle_s
        self._machine = machine
        self._peer_failures = peer_failures
        self._idle_s = idle_s

    async def handle(self, peer: str, request: Any, stream: PeerStream) -> None:
        """Serves one stream; `PeerServices.serve_stream(SERVICE, …)` takes it."""
        broken = broken_errors(self._peer_failures)
        try:
            backend = self._allowed(request)
            if request.get("protocol") == "udp":
                async with udp_to(backend) as there:
                    await stream.send(_READY)
                    here = StreamDatagrams(stream)
                    await exchange(here, there, broken=broken, idle_s=self._udp_idle_s)
            else:
                async with dial_local(backend) as local:
                    await stream.send(_READY)
                    await pump(stream, local, broken=broken, idle_s=self._idle_s)
        except DialFailed as error:
            try:
                await stream.send(_FAILED + str(error).encode())
            except self._peer_failures:
                return
        except self._peer_failures:
            return

    def _allowed(self, request: Any) -> Backend:
        if not isinstance(request, dict):
            raise DialFailed("not a mesh request")
        task_id, container_port = request.get("task_id"), request.get("container_port")
        state = self._machine.state
        task = state.tasks.get(task_id) if isinstance(task_id, str) else None
        if task is None or task.node_id != self._node_id or not isinstance(container_port, int):
            raise DialFailed(f"no such task on {self._node_id}")
        if not _is_served(state, task, container_port):
            raise DialFailed(f"{task.id} has no port {container_port}")
        backend = backend_of(task, container_port)
        if backend is None:
            raise DialFailed(f"{task.id} has no address now")
        return backend


def _is_served(state: State, task: Task, container_port: int) -> bool:
    """Whether its app declares the port, or its service leads to it."""
    app = state.apps.get(task.app)
    service = None if app is None else state.services.get(app.service_name)
    declared = {port.container_port for port in state.spec_of(task).ports}
    return container_port in declared | {port.target for port in ([] if service is None else service.ports)}
