"""Commands in a container, with input and output open, at its own node and from another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from runtime.engine.base import ExecStream
from runtime.engine.errors import EngineUnavailable
from runtime.gateway import ContainerGone, EngineTrouble, NodeUnreachable
from runtime.gateway_exec import EXEC_SERVICE, ExecRequest, ExecServer, exec_elsewhere
from tests.runtime.peer_net import FakePeerError, PeerNet


class Command:
    """Says what it is told; knows its size; ends with 7 when its input ends."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.broken = False
        self.left = trio.Event()
        self._send, self._receive = trio.open_memory_channel[bytes](10)

    async def send(self, data: bytes) -> None:
        await self._send.send(data)

    async def send_eof(self) -> None:
        self._send.close()

    async def receive(self) -> tuple[str, bytes]:
        try:
            data = await self._receive.receive()
        except trio.EndOfChannel:
            return "stdout", b""
        if data == b"break":
            raise EngineUnavailable("the engine went away")
        return "stderr" if data == b"!" else "stdout", data

    async def resize(self, *, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def exit_code(self) -> int | None:
        return 7


class Local:
    def __init__(self) -> None:
        self.command = Command()
        self.asked: ExecRequest | None = None

    @asynccontextmanager
    async def exec_stream(self, request: ExecRequest) -> AsyncIterator[ExecStream]:
        self.asked = request
        if request.task_id == "gone":
            raise ContainerGone("it is gone")
        try:
            yield self.command  # type: ignore[misc]
        finally:
            self.command.left.set()


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[PeerNet, Local]]:
    async with trio.open_nursery() as nursery:
        net, local = PeerNet(nursery), Local()
        net.channel("n1").serve_stream(EXEC_SERVICE, ExecServer(local, peer_failures=(FakePeerError,)).serve)
        yield net, local
        nursery.cancel_scope.cancel()


def request(task_id: str = "t1", command: Sequence[str] = ("sh",), env: Mapping[str, str] | None = None) -> ExecRequest:
    return ExecRequest(task_id=task_id, command=list(command), tty=True, env=dict(env or {}))


async def test_input_output_size_and_exit_code_travel() -> None:
    async with cluster() as (net, local):
        peers = net.channel("n2")
        async with exec_elsewhere(peers, "n1", request(env={"A": "b"}), (FakePeerError,)) as remote:
            await remote.resize(columns=80, rows=24)
            await remote.send(b"hello \xff")
            assert await remote.receive() == ("stdout", b"hello \xff")
            await remote.send(b"!")
            assert await remote.receive() == ("stderr", b"!")
            assert await remote.exit_code() is None
            await remote.send_eof()
            assert await remote.receive() == ("stdout", b"")
            assert await remote.exit_code() == 7
        assert local.command.sizes == [(80, 24)]
        assert local.asked == request(env={"A": "b"})
        with trio.fail_after(2):
            await local.command.left.wait()


async def test_the_command_ends_when_who_asked_goes_away() -> None:
    async with cluster() as (net, local):
        async with exec_elsewhere(net.channel("n2"), "n1", request(), (FakePeerError,)):
            pass
        with trio.fail_after(2):
            await local.command.left.wait()


async def test_errors_travel() -> None:
    async with cluster() as (net, _):
        peers = net.channel("n2")
        with pytest.raises(ContainerGone):
            async with exec_elsewhere(peers, "n1", request("gone"), (FakePeerError,)):
                pass
        with pytest.raises(NodeUnreachable):
            async with exec_elsewhere(peers, "n3", request(), (FakePeerError,)):
                pass
        async with exec_elsewhere(peers, "n1", request(), (FakePeerError,)) as remote:
            await remote.send(b"break")
            with pytest.raises(EngineTrouble, match="went away"):
                await remote.receive()
