"""What a run began ends with it, however the run ends: by SIGKILL, too (testcontainers' Ryuk does so for containers).

    release = reap_after_us([sys.executable, "-m", "tests.support.leftovers", str(folder), ""])
    …                # begin it, use it, end it
    release()

The reaper is a process in a session of its own, started with the first of these. It reads from a pipe that only we
hold: when the kernel has closed that, it runs the commands that were not released, the last first, and tells of them
in REPORT. `python reaper.py` is that process.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

REPORT = Path(tempfile.gettempdir(), "hivemind-reaper.log")
_ROOT = Path(__file__).resolve().parents[2]
_COMMAND_TIMEOUT_S = 60.0

_numbers = itertools.count()


def reap_after_us(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Let `argv` be run, at the root of the checkout, when this process is gone; `env` adds to its environment.

    Returns what calls it off. The command must do no harm where there is nothing to end.
    """
    pipe, number = _pipe_of(os.getpid()), next(_numbers)

    def tell(*words: object) -> None:
        pipe.write(json.dumps([number, *words]).encode() + b"\n")

    tell(argv, dict(env or {}))
    return tell


@cache
def _pipe_of(pid: int) -> IO[bytes]:
    """To the reaper of process `pid`, which is ours: a fork of us gets one of its own."""
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        start_new_session=True,
    )
    pipe = reaper.stdin
    assert pipe is not None

    @atexit.register
    def end() -> None:
        if os.getpid() == pid:
            pipe.close()
            reaper.wait()

    return pipe


def main() -> None:
    """Listen until nobody holds the other end, then run what was not released."""
    entrusted: dict[int, list[object]] = {}
    for line in sys.stdin:
        number, *command = json.loads(line)
        if command:
            entrusted[number] = command
        else:
            del entrusted[number]
    for argv, env in reversed(entrusted.values()):
        _run(argv, env)  # type: ignore[arg-type]


def _run(argv: list[str], env: dict[str, str]) -> None:
    with REPORT.open("a") as report:
        print("left behind by a run:", *argv, file=report, flush=True)
        try:
            subprocess.run(
                argv,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=report,
                stderr=report,
                timeout=_COMMAND_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            print(error, file=report)


if __name__ == "__main__":
    main()
