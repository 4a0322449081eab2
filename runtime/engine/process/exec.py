"""Commands beside a running task: in its directory, with its environment and user."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio

from runtime.engine.base import EXEC_OUTPUT_LIMIT_BYTES, ExecResult, LogStreamName
from runtime.engine.process.task_files import TaskRun

_READ_BYTES = 64 * 1024
_EXIT_AFTER_EOF_S = 2.0
_NOT_FOUND_EXIT_CODE = 127
_WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes the tty the controlling one, for job control and Ctrl-C; a preexec_fn is not safe beside threads."""


class ProcessExec:
    """`ExecStream` of a process of this machine. It is killed, with its group, at `aclose`."""

    def __init__(self, process: subprocess.Popen[bytes], outputs: Mapping[int, LogStreamName], stdin_fd: int):
        self._process = process
        self._outputs = dict(outputs)
        self._stdin_fd: int | None = stdin_fd
        self._tty = stdin_fd in outputs
        self._epoll = select.epoll()
        for fd in outputs:
            os.set_blocking(fd, False)
            self._epoll.register(fd, select.EPOLLIN)
        os.set_blocking(stdin_fd, False)

    @classmethod
    def start(cls, run: TaskRun, command: Sequence[str], *, tty: bool, env: Mapping[str, str] | None) -> ProcessExec:
        """Start it; blocking for a millisecond or two. OSError where the program is not there."""
        if tty:
            ours, theirs = pty.openpty()
            pipes = [(ours, theirs)] * 3
        else:
            stdin_read, stdin_write = os.pipe()
            pipes = [(stdin_write, stdin_read), os.pipe(), os.pipe()]
        try:
            process = subprocess.Popen(
                [sys.executable, "-S", "-I", "-c", _WITH_TERMINAL, *command] if tty else list(command),
                stdin=pipes[0][1],
                stdout=pipes[1][1],
                stderr=pipes[2][1],
                cwd=run.cwd,
                env={**run.env, **({"TERM": "xterm"} if tty else {}), **(env or {})},
                start_new_session=True,
                user=run.uid,
                group=run.gid,
                extra_groups=None if run.uid is None else [],
            )
        except BaseException:
            for fd in {ours for ours, _ in pipes}:
                os.close(fd)
            raise
        finally:
            for fd in {theirs for _, theirs in pipes}:
                os.close(fd)
        names: Sequence[LogStreamName] = ("stdout", "stderr")
        outputs = {pipes[0][0]: names[0]} if tty else {pipes[1][0]: names[0], pipes[2][0]: names[1]}
        return cls(process, outputs, pipes[0][0])

    async def send(self, data: bytes) -> None:
        """Write to its stdin; nothing happens where nobody reads it any more."""
        view = memoryview(data)
        while view and self._stdin_fd is not None:
            try:
                view = view[os.write(self._stdin_fd, view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._stdin_fd)
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EIO):
                    raise
                return

    async def send_eof(self) -> None:
        """End its stdin; on a tty by the end-of-file character."""
        if self._tty:
            await self.send(b"\x04")
        elif self._stdin_fd is not None:
            os.close(self._stdin_fd)
            self._stdin_fd = None

    async def receive(self) -> tuple[LogStreamName, bytes]:
        """The next piece of output, `("stdout", b"")` at the end."""
        while self._outputs:
            await anyio.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, 1):
                try:
                    data = os.read(fd, _READ_BYTES)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    data = b""  # how a tty says that nobody holds its other end any more
                stream = self._outputs[fd]
                if data:
                    return stream, data
                del self._outputs[fd]
                self._epoll.unregister(fd)
                if fd != self._stdin_fd:
                    os.close(fd)
        return "stdout", b""

    async def resize(self, *, columns: int, rows: int) -> None:
        """Set the terminal's size."""
        if self._tty and self._stdin_fd is not None:
            fcntl.ioctl(self._stdin_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def exit_code(self) -> int | None:
        """Its exit code, None while it runs; after the end of its output it is waited for a moment."""
        if not self._outputs and self._process.poll() is None:
            with anyio.move_on_after(_EXIT_AFTER_EOF_S):
                await self.wait()
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    async def aclose(self) -> None:
        """Kill what is left of it, and reap it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await self.wait()
        self._process.wait()
        self._epoll.close()
        for fd in {*self._outputs, *([] if self._stdin_fd is None else [self._stdin_fd])}:
            os.close(fd)
        self._outputs, self._stdin_fd = {}, None

    async def wait(self) -> None:
        """Until it has ended."""
        if self._process.poll() is not None:
            return
        fd = os.pidfd_open(self._process.pid)
        try:
            await anyio.wait_readable(fd)
        finally:
            os.close(fd)


async def run_command(
    run: TaskRun, command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None
) -> ExecResult:
    """Run to the end. TimeoutError; it is killed then."""
    try:
        process = ProcessExec.start(run, command, tty=False, env=env)
    except OSError as error:
        return ExecResult(_NOT_FOUND_EXIT_CODE, f"{command[0]}: {error.strerror}\n".encode())
    output = bytearray()
    try:
        with anyio.fail_after(timeout_s):
            await process.send_eof()
            while data := (await process.receive())[1]:
                output += data[: EXEC_OUTPUT_LIMIT_BYTES - len(output)]
            await process.wait()
        exit_code = await process.exit_code()
    finally:
        await process.aclose()
    return ExecResult(-1 if exit_code is None else exit_code, bytes(output))
