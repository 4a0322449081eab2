"""hivemind.lockfile: one daemon per data-dir, also after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hivemind.lockfile import AlreadyRunning, locked

HOLD = """
import pathlib, sys
from hivemind.lockfile import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with locked(tmp_path):
        says = rf"a daemon runs on {tmp_path} already \(pid {os.getpid()}\)"
        for _ in range(2):
            with pytest.raises(AlreadyRunning, match=says), locked(tmp_path):
                pass
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """kill -9: the file stays, the lock does not."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"pid {process.pid}"), locked(tmp_path):
            pass
        process.kill()
        process.wait()
        with locked(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
