"""scripts/dev, around a stand-in for the daemon: what it starts, says, and takes away again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.addresses import free_addresses
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class DevRun:
    """A running scripts/dev_cluster.py, with its output so far in a file."""

    def __init__(self, folder: Path, network: str, options: list[str], environment: dict[str, str]) -> None:
        program = folder / "hivemind"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "tests" / "support" / "fake_hivemind.py"} "$@"\n')
        program.chmod(0o755)
        self.data_dir = folder / "data"
        self._output = folder / "output"
        argv = [sys.executable, str(ROOT / "scripts" / "dev_cluster.py"), "--hivemind", str(program)]
        argv += ["--network", network, "--runtime", "process", *options]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **environment},
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.output or self.process.poll() is not None, 20, repr(words))
        assert words in self.output, self.output

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def network() -> str:
    return free_addresses(3)[0].rpartition(".")[0]


@pytest.fixture
def dev(tmp_path: Path, network: str) -> Iterator[Callable[..., DevRun]]:
    runs: list[DevRun] = []

    def run(*options: str, **environment: str) -> DevRun:
        runs.append(DevRun(tmp_path, network, list(options), environment))
        return runs[-1]

    yield run
    for each in runs:
        if each.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                each.end()
            each.process.kill()
            each.process.wait()


def test_three_nodes_come_up_and_ctrl_c_leaves_nothing(
    dev: Callable[..., DevRun], tmp_path: Path, network: str
) -> None:
    run = dev(HIVEMIND_TOKEN="of another cluster")
    run.wait_for("Ctrl-C stops all of it.")
    [data_dir] = tmp_path.glob("hivemind-dev-*")
    nodes = [json.loads((data_dir / f"node-{number}" / "ready").read_text()) for number in (1, 2, 3)]
    password = (data_dir / "admin-password").read_text()
    for number, node in enumerate(nodes, 1):
        assert f"http://{network}.{number}:4483  pid {node['pid']}" in run.output
    assert f"admin   password: {password}" in run.output
    assert nodes[0]["given"]["--admin-password-file"] == str(data_dir / "admin-password")
    assert nodes[2]["given"]["--join"] == f"{network}.1:7946"
    token_file = Path(nodes[2]["given"]["--token-file"])
    assert token_file.read_text() == "hm1.fingerprint.secret\n"
    assert token_file.stat().st_mode & 0o077 == 0

    assert run.end() == 0
    assert not data_dir.exists()
    assert not any(psutil.pid_exists(pid) for node in nodes for pid in (node["pid"], node["shim"]))


def test_a_given_data_dir_is_kept_and_used_again(dev: Callable[..., DevRun], tmp_path: Path) -> None:
    data_dir = tmp_path / "kept"
    first = dev("--nodes", "1", "--data-dir", str(data_dir))
    first.wait_for("Ctrl-C stops")
    password = (data_dir / "admin-password").read_text()
    assert first.end(signal.SIGTERM) == 0
    second = dev("--nodes", "1", "--data-dir", str(data_dir))
    second.wait_for("Ctrl-C stops")
    assert password in second.output
    assert second.end() == 0
    assert data_dir.exists()


def test_a_daemon_that_ends_early_is_quoted_and_the_rest_is_stopped(dev: Callable[..., DevRun], tmp_path: Path) -> None:
    run = dev(FAKE_FAILS="node-2")
    assert run.process.wait(20) == 1
    assert "node-2 ended with 3" in run.output
    assert "the sky is falling" in run.output
    assert not list(tmp_path.glob("hivemind-dev-*"))


def test_a_taken_port_is_named(dev: Callable[..., DevRun], network: str) -> None:
    with socket.create_server((f"{network}.2", 7946)):
        run = dev()
        assert run.process.wait(20) == 1
    assert f"{network}.2:7946 is in use" in run.output
