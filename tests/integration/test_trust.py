"""A cluster that can be trusted: a state that differs is found and replaced, leadership goes where it is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.leaders import NOT_YET, wait_whole
from tests.support.odd_daemon import ODD_APP
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, of which the third makes something else of one command."""
    cluster = Cluster(data_dir=tmp_path_factory.mktemp("odd"), options=["--preset", "local"])
    cluster.node(3).argv[:3] = [sys.executable, "-m", "tests.support.odd_daemon"]
    with cluster:
        wait_whole(cluster)
        yield cluster


def generation(cluster: Cluster, number: int) -> Any:
    """Which the odd daemon has different; None while the node does not answer."""
    with cluster.client(number) as client:
        answer = client.get(f"/api/apps/{ODD_APP}")
        return answer.json()["data"]["generation"] if answer.status_code == 200 else None


def test_a_node_whose_state_differs_says_so_and_takes_that_of_the_others(odd: Cluster) -> None:
    with odd.client(1) as client:
        body = {"name": ODD_APP, "image": "hivemind/whoami", "replicas": 0}
        assert client.post("/api/deploy", json=body).status_code == 201
        before = generation(odd, 1)
        wait_until(lambda: generation(odd, 3) not in (None, before), 10, "node 3 differs", errors=NOT_YET)
        # Nodes are compared every hundred entries or so.
        for number in range(110):
            labels = {"labels": {"round": str(number)}}
            assert client.put(f"/api/nodes/{odd.node(1).name}/labels", json=labels).status_code == 200
    log = odd.node(3).log
    wait_until(lambda: "state_replaced" in log.read_text(), 20, "node 3 took another's state")
    assert "state_differs" in log.read_text()
    wait_until(lambda: generation(odd, 3) == before, 10, "node 3 answers as node 1 does", errors=NOT_YET)
    assert generation(odd, 1) == generation(odd, 2) == before
    assert "state_replaced" not in odd.node(1).log.read_text() + odd.node(2).log.read_text()
    assert odd.node(3).is_running()
