"""A program that a test started on a lab host."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.commands import LabError, first_child, send_signal, wait_for

_START_TIMEOUT_S = 5.0


class HostProcess:
    """`pid` is the program's pid on this machine (not the one it sees itself)."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            # nsenter forks to enter a pid namespace: the program is its child.
            self._nsenter = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        wait_for(
            lambda: self._nsenter.poll() is not None or first_child(self._nsenter.pid) is not None,
            _START_TIMEOUT_S,
            "start of a program",
        )
        pid = first_child(self._nsenter.pid)
        if pid is None:
            raise LabError(f"ended at once with {self._nsenter.wait()}; see {log}: {self.log_tail()}")
        self.pid = pid

    def signal(self, number: signal.Signals) -> None:
        """Signal the program, if it is still there."""
        if self._nsenter.poll() is None:
            send_signal(self.pid, number)
            if number is signal.SIGCONT:
                # nsenter stops itself when its child stops.
                send_signal(self._nsenter.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.signal(signal.SIGKILL)
        self.signal(signal.SIGCONT)
        self.wait()

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def wait(self, timeout_s: float | None = 10.0) -> int:
        """The exit status (negative: the signal that ended it)."""
        return self._nsenter.wait(timeout_s)

    def poll(self) -> int | None:
        return self._nsenter.poll()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
