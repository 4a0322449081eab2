"""Running this machine's own programs, and looking at its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class LabError(RuntimeError):
    """Something in the lab did not work; the message has the command's own words."""


def run(argv: Sequence[str | Path], *, given: str | None = None, check: bool = True) -> str:
    """Run a program to its end and answer its output; raises LabError for a failure if `check`."""
    done = subprocess.run(argv, input=given, capture_output=True, text=True)
    if check and done.returncode:
        raise LabError(f"{' '.join(map(str, argv))}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def in_netns(name: str, argv: Sequence[str], *, given: str | None = None, check: bool = True) -> str:
    """Run a program in a named network namespace."""
    return run(["nsenter", f"--net=/run/netns/{name}", *argv], given=given, check=check)


def process_name(pid: int) -> str:
    """The kernel's name of a process, or "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def first_child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Signal a process; answers whether it was still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str, poll_s: float = 0.005) -> None:
    """Poll with a deadline; raises LabError saying `what` did not come."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise LabError(f"{what}: not within {timeout_s} s")
        time.sleep(poll_s)
