"""Issue 2, bar 5: a daemon is stopped (SIGSTOP) for a while and goes on; the cluster heals by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.apps import Sleeper, containers, delete, deploy, wait_running
from tests.support.cluster import Cluster, Node
from tests.support.leaders import NOT_YET, followers, leader, wait_whole
from tests.support.waiting import wait_until

REPLICAS = 6
SETTLED_S = 3.0


def status_of(cluster: Cluster, asked: int, node: Node) -> str:
    with cluster.client(asked) as client:
        item: dict[str, Any] = client.get(f"/api/nodes/{node.name}").json()["data"]
        return str(item["status"])


def where(cluster: Cluster, asked: int, app: Sleeper) -> dict[str, str]:
    """The node of each container."""
    return {item["id"]: item["node_id"] for item in containers(cluster, asked, app.name)}


def assert_no_double(cluster: Cluster, app: Sleeper) -> None:
    """So many processes as replicas, for some time, and each container's slot once, the same from every node."""
    wait_until(lambda: len(app.processes()) == REPLICAS, 30, f"{REPLICAS} processes of {app.name}")
    pids, end_s = app.processes(), time.monotonic() + SETTLED_S
    while time.monotonic() < end_s:
        assert app.processes() == pids
    lists = [containers(cluster, node.number, app.name) for node in cluster.nodes]
    ids = [[(item["id"], item["node_id"], item["engine_id"]) for item in items] for items in lists]
    assert ids[0] == ids[1] == ids[2]
    assert len({item["name"] for item in lists[0]}) == REPLICAS


@pytest.mark.parametrize("who", ["follower", "leader"])
def test_a_stopped_nodes_tasks_are_moved_and_none_runs_twice_afterwards(three: Cluster, who: str) -> None:
    chief = leader(three)
    stopped = chief if who == "leader" else followers(three)[0]
    asked = next(node for node in three.nodes if node is not stopped)
    app = Sleeper(f"stopped-{who}")
    deploy(three, asked.number, app.body(REPLICAS))
    assert any(item["node_id"] == stopped.name for item in containers(three, asked.number, app.name))
    kept = Sleeper(f"kept-{who}")
    deploy(three, asked.number, kept.body(len(three.nodes), keep_lost=True))
    places, pids = where(three, asked.number, kept), kept.processes()
    assert stopped.name in places.values()

    stopped.sigstop()
    try:
        wait_until(lambda: status_of(three, asked.number, stopped) == "lost", 60, "the node is lost", errors=NOT_YET)
        wait_running(three, asked.number, app.name, REPLICAS)
        assert all(item["node_id"] != stopped.name for item in containers(three, asked.number, app.name))
        if who == "leader":
            assert leader(three, [node.number for node in three.nodes if node is not stopped]) is not stopped
        assert where(three, asked.number, kept) == places, "what must not run twice waits for its node"
    finally:
        stopped.sigcont()
    wait_whole(three)
    assert_no_double(three, app)
    assert (where(three, stopped.number, kept), kept.processes()) == (places, pids)
    for name in (app.name, kept.name):
        delete(three, stopped.number, name)
    wait_until(lambda: not app.processes() and not kept.processes(), 30, "the apps are gone")


def test_a_short_stop_moves_nothing(three: Cluster) -> None:
    stopped = followers(three)[0]
    asked = next(node for node in three.nodes if node is not stopped)
    app = Sleeper("short-stop")
    deploy(three, asked.number, app.body(REPLICAS))
    pids = app.processes()
    stopped.sigstop()
    time.sleep(1.0)  # shorter than any failure detector may take for a verdict
    stopped.sigcont()
    wait_whole(three)
    assert_no_double(three, app)
    assert app.processes() == pids
    delete(three, asked.number, app.name)
