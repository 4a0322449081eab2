"""The cluster of real daemons that integration tests use, here around a stand-in for the daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import Cluster

FAKE = (sys.executable, str(Path(__file__).with_name("fake_hivemind.py")))


def test_a_cluster_starts_loses_a_node_and_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with Cluster(data_dir=tmp_path, program=FAKE, timeout_s=20) as cluster:
        names = {node.name for node in cluster.nodes}
        assert cluster.ready_nodes(2) == names
        with cluster.client(3) as client:
            assert client.get("/api/health").status_code == 200
        cluster.node(1).kill9()
        assert not cluster.node(1).is_running()
        cluster.node(1).start()
        cluster.wait_ready([1, 2, 3])
        cluster.node(2).sigstop()
        pids = [node.pid for node in cluster.nodes]
        shims = [json.loads((node.data_dir / "ready").read_text())["shim"] for node in cluster.nodes]
        assert all(psutil.pid_exists(shim) for shim in shims)
    assert not any(psutil.pid_exists(pid) for pid in pids + shims)


def test_a_node_that_ends_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(data_dir=tmp_path, nodes=1, program=FAKE, timeout_s=20)
    monkeypatch.setenv("FAKE_FAILS", cluster.node(1).name)
    with pytest.raises(AssertionError, match="the sky is falling"):
        cluster.start()
    cluster.stop()


def test_the_fixture_starts_clusters(cluster: Callable[..., Cluster]) -> None:
    started = cluster(nodes=1, program=FAKE, timeout_s=20)
    assert started.node(1).is_running()
    assert started.node(1).sigterm() == 0
