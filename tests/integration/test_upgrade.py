"""A rolling upgrade: what the next version brought is refused until the last node has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from consensus.features import LEVEL
from tests.support.cluster import Cluster
from tests.support.leaders import NOT_YET, wait_whole
from tests.support.waiting import wait_until

NEWER = [sys.executable, "-m", "tests.support.newer_daemon"]


def level(cluster: Cluster, number: int) -> Any:
    with cluster.client(number) as client:
        return client.get("/api/cluster").json()["data"]["feature_level"]


def rotate(cluster: Cluster, number: int) -> tuple[int, str]:
    """What the next version can do at its level."""
    with cluster.client(number, timeout_s=30) as client:
        answer = client.post("/api/auth/rotate-keys", json={})
        return answer.status_code, answer.text


@pytest.mark.soak
def test_a_cluster_is_upgraded_node_by_node_while_it_serves(tmp_path: Path) -> None:
    with Cluster(data_dir=tmp_path, options=["--preset", "local"]) as cluster:
        wait_whole(cluster)
        for node in cluster.nodes:
            assert level(cluster, node.number) == LEVEL
            if node.number > 1:
                status, text = rotate(cluster, 1)
                told = f"needs feature level {LEVEL + 1}, the cluster is at {LEVEL}"
                assert (status, told in text) == (409, True), text
            assert node.sigterm() == 0
            node.argv[:3] = NEWER
            node.start()
            wait_whole(cluster)
        wait_until(
            lambda: level(cluster, 1) == level(cluster, 3) == LEVEL + 1, 30, "all are at the new level", errors=NOT_YET
        )
        assert rotate(cluster, 1)[0] == 200
        old = cluster.node(3)
        assert old.sigterm() == 0
        old.argv[:3] = [sys.executable, "-m", "hivemind"]
        old.start()
        assert old.wait(60) != 0
        assert "upgrade" in old.log_tail()
