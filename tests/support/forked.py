"""Python programs of ours without the time that importing takes: forked from servers that have done it.

    daemon = forked.start([sys.executable, "-m", "hivemind", "daemon", …], env, stdout=log)
    done = forked.run([sys.executable, "-m", "hivemind", "node", "ls"], env)

They are processes as others, in sessions of their own; but they end with this process, and their command line is the
server's. Tests of how a program begins start it themselves.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
SERVERS = 2
"""Python's hashes differ from one to the other, as they do from node to node: a replica must not depend on them."""


class Forked:
    """As subprocess.Popen, as far as that goes."""

    def __init__(self, argv: Sequence[str], watched: socket.socket) -> None:
        self.args = argv
        self.returncode: int | None = None
        self._watched = watched
        self._heard = b""
        while b"\n" not in self._heard:
            self._hear()
        self.pid = int(self._heard.partition(b"\n")[0])

    def _hear(self) -> None:
        some = self._watched.recv(64)
        if not some:
            raise ChildProcessError(f"the server of {self.args} has ended")
        self._heard += some

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                self.wait(0)
            except subprocess.TimeoutExpired:
                return None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status (negative: the signal that ended it). Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            deadline_s = time.monotonic() + (timeout or 0)
            while self._heard.count(b"\n") < 2:
                left_s = None if timeout is None else max(0.0, deadline_s - time.monotonic())
                if not select.select([self._watched], [], [], left_s)[0]:
                    raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
                self._hear()
            self.returncode = int(self._heard.split()[1])
            self._watched.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Unless it has ended: its pid may be another's by then."""
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: int | None = None,
    stdout: int,
    stderr: int,
    server: int = 0,
) -> Forked | subprocess.Popen[bytes]:
    """Start `python -m …`, or execute what is something else; standard input is empty by default.

    `server` is which one is asked: any number.
    """
    if tuple(argv[:2]) != (sys.executable, "-m"):
        return execute(argv, env, stdin=stdin, stdout=stdout, stderr=stderr)
    ours, theirs = socket.socketpair()
    with theirs, open(os.devnull, "rb") as nothing:
        standard = [nothing.fileno() if stdin is None else stdin, stdout, stderr]
        request = json.dumps({"argv": list(argv[2:]), "env": dict(env), "cwd": os.getcwd()}).encode()
        asked = _servers(os.getpid())[server % SERVERS].requests
        socket.send_fds(asked, [request], [*standard, theirs.fileno()])
    return Forked(argv, ours)


def execute(
    argv: Sequence[str], env: Mapping[str, str], *, stdin: int | None = None, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    """Start any program, as a shell does."""
    given = subprocess.DEVNULL if stdin is None else stdin
    return subprocess.Popen(argv, env=env, stdin=given, stdout=stdout, stderr=stderr, start_new_session=True)


def run(
    argv: Sequence[str], env: Mapping[str, str], given: bytes = b"", *, timeout_s: float = 60.0
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, as `subprocess.run` with all that it wrote. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(given)
        stdin.seek(0)
        process = start(argv, env, stdin=stdin.fileno(), stdout=stdout.fileno(), stderr=stderr.fileno())
        try:
            status = process.wait(timeout_s)
        except BaseException:
            process.kill()
            process.wait()
            raise
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(list(argv), status, stdout.read(), stderr.read())


def run_text(
    argv: Sequence[str], env: Mapping[str, str], *, timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """The same, decoded."""
    done = run(argv, env, timeout_s=timeout_s)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class _Server:
    """Started when it is made; it takes requests at once, and answers when it has imported what it shall."""

    def __init__(self) -> None:
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                start_new_session=True,
            )

    def close(self) -> None:
        self.requests.close()
        self._process.wait()


@cache
def _servers(pid: int) -> Sequence[_Server]:
    """Of process `pid`, which is ours: a fork of us has some of its own."""
    servers = [_Server() for _ in range(SERVERS)]

    @atexit.register
    def end() -> None:
        if os.getpid() == pid:
            for server in servers:
                server.close()

    return servers
