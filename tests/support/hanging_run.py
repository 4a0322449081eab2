"""What `test_end_of_a_run` ends: a run with a cluster (of stand-ins) and a host of a lab up, that never returns.

As a program (as the benchmarks are), and as a test that no suite collects. In RUN_FOLDER it makes `up`, with what must
not outlive it, and `unwound` where it could end that itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio

from tests.lab.lab import Lab, why_no_lab
from tests.support.cluster import Cluster

FAKE = (sys.executable, str(Path(__file__).with_name("fake_hivemind.py")))


@contextmanager
def run(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        about: dict[str, object] = {}
        pids: list[int | None] = [os.getpid()]
        if why_no_lab() is None:
            lab = stack.enter_context(Lab(1, engines=False))
            about["lab"] = lab.place.environment()
            pids.append(lab.host(1).init_pid())
        cluster = Cluster(data_dir=folder / "cluster", nodes=1, program=FAKE, timeout_s=20)
        stack.enter_context(cluster)
        ready = json.loads((cluster.node(1).data_dir / "ready").read_text())
        about["pids"] = [*pids, ready["pid"], ready["shim"]]
        (folder / "about").write_text(json.dumps(about))
        (folder / "about").rename(folder / "up")
        yield
    (folder / "unwound").touch()


@pytest.fixture
def running() -> Iterator[None]:
    with run(Path(os.environ["RUN_FOLDER"])):
        yield


@pytest.mark.usefixtures("running")
async def test_hangs() -> None:
    await trio.sleep_forever()


if __name__ == "__main__":
    with run(Path(os.environ["RUN_FOLDER"])):
        signal.pause()
