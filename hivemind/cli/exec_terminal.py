"""This terminal, or this program's input and output, for a command in a container."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from hivemind.cli.session import Session
from hivemind.client import ServerUnreachable
from hivemind.client.exec import Ended, ExecSession, TerminalSize, open_exec

INPUT_BYTES = 32 * 1024
KILLED = 128
"""Added to a signal's number, as shells do."""


def run(session: Session, container_id: str, command: Sequence[str], *, interactive: bool, terminal: bool) -> int:
    """The command's exit code. Raises ClientError."""
    with _raw_terminal(terminal):
        return trio.run(_run, session, container_id, command, interactive, terminal)


@contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    """Keys go to the command one by one, also those that would end this program."""
    if not wanted:
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    # What was typed ahead is kept.
    tty.setraw(fd, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def _run(session: Session, container_id: str, command: Sequence[str], interactive: bool, terminal: bool) -> int:
    code = 0
    size = _size() if terminal else None
    opened = open_exec(session.servers, session.credentials, container_id, command, size=size)
    async with opened as running, trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal code
            code = await _watch_signals(running, terminal)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        nursery.start_soon(_hand_over_input if interactive else _end_input, running)
        code = await _print_output(running)
        nursery.cancel_scope.cancel()
    return code


def _size() -> TerminalSize:
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return TerminalSize(max(1, columns), max(1, rows))


async def _watch_signals(running: ExecSession, terminal: bool) -> int:
    """Tells of each new size of the terminal; returns when this program shall end."""
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with trio.open_signal_receiver(*ends, *((signal.SIGWINCH,) if terminal else ())) as signals:
        async for number in signals:
            if number != signal.SIGWINCH:
                return KILLED + number
            await running.resize(_size())
    return 0


async def _end_input(running: ExecSession) -> None:
    await running.send_eof()


async def _hand_over_input(running: ExecSession) -> None:
    fd = sys.stdin.fileno()
    while data := await _read(fd):
        await running.send(data)
    await running.send_eof()


async def _read(fd: int) -> bytes:
    """The next input; waiting for it takes no thread, so that it can be given up."""
    try:
        await trio.lowlevel.wait_readable(fd)
    except PermissionError:
        # epoll takes no files; reading from them never waits for long.
        await trio.lowlevel.checkpoint()
    return os.read(fd, INPUT_BYTES)


async def _print_output(running: ExecSession) -> int:
    """The command's exit code. Raises ServerUnreachable."""
    fds = {"stdout": sys.stdout.fileno(), "stderr": sys.stderr.fileno()}
    while True:
        told = await running.receive()
        if isinstance(told, Ended):
            if told.exit_code is None:
                raise ServerUnreachable("the command has ended, and its node does not know how")
            return told.exit_code
        await trio.to_thread.run_sync(_write, fds[told.channel], told.data)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
