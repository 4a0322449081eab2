"""`container.exec()` and the two-way streams of exec and attach."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import anyio

from runtime.engine.docker.connection import BROKEN, Answer, EngineConnection, NetworkStream
from runtime.engine.docker.errors import DockerConnectionError
from runtime.engine.docker.multiplexed import FrameError, FrameParser, Message

_READ_BYTES = 64 * 1024
_BROKEN = (*BROKEN, anyio.ClosedResourceError)

Upgrade = Callable[[], Awaitable[tuple[Answer, NetworkStream]]]


class Stream:
    """Input and output of an exec or an attached container; an async context manager.

    With a tty the output is one raw stream (stdout), else frames. DockerConnectionError where it breaks.
    """

    def __init__(self, upgrade: Upgrade, *, tty: bool) -> None:
        self._upgrade = upgrade
        self._parser = None if tty else FrameParser()
        self._ready: list[Message] = []
        self._answer: Answer | None = None
        self._network: NetworkStream | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write_in(self, data: bytes) -> None:
        """Send to its stdin."""
        network = await self._open()
        try:
            await network.write(data)
        except _BROKEN as error:
            raise DockerConnectionError(f"the exec's connection broke: {error}") from error

    async def write_eof(self) -> None:
        """End its stdin; the output stays open. Not possible over TLS, where it does nothing."""
        network = await self._open()
        if network.get_extra_info("ssl_object") is None:
            network.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def read_out(self) -> Message | None:
        """The next piece of output, None at the end."""
        network = await self._open()
        while not self._ready:
            try:
                data = await network.read(_READ_BYTES)
                if not data:
                    return None
                self._ready = [Message(1, data)] if self._parser is None else self._parser.feed(data)
            except (*_BROKEN, FrameError) as error:
                raise DockerConnectionError(f"the exec's connection broke: {error}") from error
        return self._ready.pop(0)

    async def close(self) -> None:
        """Cut the connection. A command that was started goes on."""
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.aclose()

    async def _open(self) -> NetworkStream:
        if self._network is None:
            self._answer, self._network = await self._upgrade()
        return self._network


class Exec:
    """One command in a running container."""

    def __init__(self, connection: EngineConnection, id_: str, *, tty: bool) -> None:
        self._connection = connection
        self.id = id_
        self._tty = tty

    async def inspect(self) -> dict[str, Any]:
        """`Running`, `ExitCode`, `Pid`. GET /exec/{id}/json"""
        answer: dict[str, Any] = await self._connection.json("GET", f"/exec/{self.id}/json")
        return answer

    async def resize(self, *, h: int, w: int) -> None:
        """Set the size of its tty. POST /exec/{id}/resize"""
        await self._connection.request("POST", f"/exec/{self.id}/resize", params={"h": h, "w": w})

    def start(self) -> Stream:
        """Run it with its streams attached. POST /exec/{id}/start"""
        body = {"Detach": False, "Tty": self._tty}
        return Stream(lambda: self._connection.upgrade(f"/exec/{self.id}/start", json=body), tty=self._tty)

    async def start_detached(self) -> None:
        """Run it without its streams. POST /exec/{id}/start"""
        body = {"Detach": True, "Tty": self._tty}
        await self._connection.request("POST", f"/exec/{self.id}/start", json=body)
