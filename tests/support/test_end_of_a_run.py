"""What a run started dies with it: daemons, their shims, the hosts of its labs. `timeout` left all of them behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def started(folder: Path, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    environment = {**os.environ, "RUN_FOLDER": str(folder)}
    argv = [sys.executable, "-m", module, *arguments]
    with (folder / "output").open("wb") as output:
        run = subprocess.Popen(argv, cwd=_ROOT, env=environment, stdout=output, stderr=output, start_new_session=True)
    with run:
        try:
            yield run
        finally:
            run.kill()


def is_up(folder: Path, run: subprocess.Popen[bytes]) -> bool:
    assert run.poll() is None, (folder / "output").read_text()
    return (folder / "up").exists()


def nothing_stays(folder: Path) -> bool:
    about = json.loads((folder / "up").read_text())
    lab = about.get("lab")
    return not any(map(psutil.pid_exists, about["pids"])) and (
        lab is None
        or not (
            list(Path("/run/netns").glob(f"{lab['LAB_PREFIX']}*"))
            or Path(lab["LAB_ROOT"]).exists()
            or lab["LAB_ROOT"] in Path("/proc/self/mounts").read_text()
        )
    )


def test_nothing_of_a_run_stays(tmp_path: Path) -> None:
    """After SIGTERM the fixtures of pytest unwind, in a worker of xdist; after SIGKILL the reaper does their work."""
    asked, killed = tmp_path / "asked", tmp_path / "killed"
    with (
        started(asked, "pytest", "-n", "1", "tests/support/hanging_run.py") as pytest_run,
        started(killed, "tests.support.hanging_run") as program,
    ):
        wait_until(lambda: is_up(killed, program), 60, "the program is up")
        program.kill()
        program.wait()
        wait_until(lambda: is_up(asked, pytest_run), 60, "the run is up")
        pytest_run.terminate()
        assert pytest_run.wait(30) == pytest.ExitCode.INTERRUPTED
        for folder in (asked, killed):
            wait_until(partial(nothing_stays, folder), 30, f"the end of all that was {folder.name}")
        assert (asked / "unwound").exists(), (asked / "output").read_text()
        assert not (killed / "unwound").exists()
