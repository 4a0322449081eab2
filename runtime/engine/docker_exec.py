"""A command in a container, its streams as they go, and its end."""

from __future__ import annotations

import anyio

from runtime.engine.base import LogStreamName
from runtime.engine.docker.exec import Exec, Stream
from runtime.engine.docker_errors import RUNNING_ERRORS, translated

_EXIT_LOOKS = 100
_EXIT_INTERVAL_S = 0.02


async def _exit_code(exec_: Exec) -> int | None:
    answer = await exec_.inspect()
    return None if answer["Running"] else answer["ExitCode"]


async def exit_code_after_eof(exec_: Exec) -> int | None:
    # The engine ends the output first, and notes the exit code a moment later; nothing tells of it.
    for _ in range(_EXIT_LOOKS):
        if (exit_code := await _exit_code(exec_)) is not None:
            return exit_code
        await anyio.sleep(_EXIT_INTERVAL_S)
    return None


class DockerExecStream:
    """`ExecStream` over an upgraded connection."""

    def __init__(self, exec_: Exec, stream: Stream, *, tty: bool) -> None:
        self._exec = exec_
        self._stream = stream
        self._tty = tty
        self._ended = False

    async def send(self, data: bytes) -> None:
        with translated({}):
            await self._stream.write_in(data)

    async def send_eof(self) -> None:
        with translated({}):
            await self._stream.write_eof()

    async def receive(self) -> tuple[LogStreamName, bytes]:
        with translated({}):
            message = await self._stream.read_out()
        if message is None:
            self._ended = True
            return "stdout", b""
        return "stderr" if message.stream == 2 else "stdout", message.data

    async def resize(self, *, columns: int, rows: int) -> None:
        if self._tty:
            with translated(RUNNING_ERRORS):
                await self._exec.resize(h=rows, w=columns)

    async def exit_code(self) -> int | None:
        with translated({}):
            return await exit_code_after_eof(self._exec) if self._ended else await _exit_code(self._exec)
