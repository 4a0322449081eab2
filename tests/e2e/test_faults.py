"""Nodes that are away for a while and do not know it: stopped, frozen, cut off (issue 2, bar 5).

The others take over; when the node goes on, no replica runs twice for longer than it takes to notice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.lab_cluster import LabCluster

pytestmark = pytest.mark.lab

AWAY_S = [pytest.param(0.0, id="until-moved"), pytest.param(60.0, id="60s", marks=pytest.mark.soak)]
"""At least: until the node is lost and its replicas have started elsewhere."""


@contextmanager
def stopped_daemon(cluster: LabCluster, number: int) -> Iterator[None]:
    """Only the daemon is stopped: its containers run on, so each is there twice until it goes on."""
    cluster.node(number).sigstop()
    yield
    assert len(cluster.node(number).inspect_all(app="web")) == 2
    cluster.node(number).sigcont()


@contextmanager
def frozen_host(cluster: LabCluster, number: int) -> Iterator[None]:
    cluster.node(number).host.pause("host")
    yield
    cluster.node(number).host.resume()


@contextmanager
def cut_off(cluster: LabCluster, number: int) -> Iterator[None]:
    cluster.lab.partition([number], [other for other in cluster.numbers if other != number])
    yield
    # It cannot know that its containers were moved, and must keep them: it may be the only one left. It tells what
    # it last knew, and takes no writes.
    assert cluster.get(number, "/apps/web")["replicas"] == 6
    with cluster.client(number, timeout_s=30) as client:
        refused = client.post("/api/scale", json={"name": "web", "replicas": 1})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert len(cluster.node(number).inspect_all(app="web")) == 2
    cluster.lab.unpartition()


FAULTS = {"stopped_daemon": stopped_daemon, "frozen_host": frozen_host, "cut_off": cut_off}


@pytest.mark.parametrize("away_s", AWAY_S)
@pytest.mark.parametrize(
    ("fault", "victim"),
    [
        ("stopped_daemon", "leader"),
        ("frozen_host", "follower"),
        ("cut_off", "follower"),
        pytest.param("cut_off", "leader", marks=pytest.mark.soak),
    ],
)
def test_what_was_moved_meanwhile_runs_once_when_the_node_goes_on(
    cluster: LabCluster, fault: str, victim: str, away_s: float
) -> None:
    before = {each["id"]: each["engine_id"] for each in cluster.deploy(1, "web", 6)}
    leader = cluster.leader(1)
    away = leader if victim == "leader" else next(n for n in cluster.numbers if n != leader)
    others = [number for number in cluster.numbers if number != away]
    kept = {each["id"] for each in cluster.containers(1, "web") if each["node_id"] != cluster.node(away).name}

    since_s = time.monotonic()
    with FAULTS[fault](cluster, away):
        cluster.wait_running(others[0], "web", 6, on=others, timeout_s=60)
        cluster.wait_status(others[1], away, "lost")
        cluster.deploy(others[0], "meanwhile", 2)
        time.sleep(max(0.0, since_s + away_s - time.monotonic()))

    cluster.wait_ready(cluster.numbers)
    cluster.wait_engines_agree(away, "web", 6)
    cluster.wait_engines_agree(away, "meanwhile", 2)
    after = {each["id"]: each["engine_id"] for each in cluster.containers(away, "web")}
    assert {task_id: after[task_id] for task_id in kept} == {task_id: before[task_id] for task_id in kept}
    cluster.wait_alike("web")
    # The node that was away takes writes and new work again.
    cluster.deploy(away, "news", 3)
    assert cluster.spread(others[0], "news")[away] >= 1
