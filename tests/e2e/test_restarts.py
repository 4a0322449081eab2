"""Daemons and engines that end and start again, in order or not (issue 2, bar 4 and "The daemon")."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from runtime import labels
from tests.e2e.lab_cluster import LabCluster
from tests.lab.lab import Lab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab


def runs(cluster: LabCluster, app: str) -> dict[str, tuple[str, str, int]]:
    """By engine id, as the engines tell: the task, when it was started, and how often it was started again."""
    return {
        found["Id"]: (found["Config"]["Labels"][labels.TASK], found["State"]["StartedAt"], found["State"]["Pid"])
        for number in cluster.numbers
        for found in cluster.node(number).inspect_all(app=app)
    }


def told(container: dict[str, Any]) -> tuple[Any, ...]:
    names = ("id", "node_id", "engine_id", "status", "started_at", "restart_count")
    return tuple(container[name] for name in names)


def test_after_kill_9_of_all_daemons_everything_is_there_and_nothing_was_restarted(cluster: LabCluster) -> None:
    cluster.deploy(1, "web", 6, volumes=[{"name": "kept", "mount_path": "/kept"}])
    cluster.wait_engines_agree(1, "web", 6)
    cluster.wait_alike("web")
    engines, listed = runs(cluster, "web"), [told(each) for each in cluster.containers(1, "web")]
    app = cluster.get(2, "/apps/web")
    for number in cluster.numbers:
        cluster.node(number).sigstop()
    for number in cluster.numbers:
        cluster.node(number).kill9()
    for number in cluster.numbers:
        cluster.node(number).start()
    started_s = time.monotonic()
    cluster.wait_ready(cluster.numbers)
    print(f"\nall daemons were ready {time.monotonic() - started_s:.1f} s after their start")
    for number in cluster.numbers:
        cluster.wait_running(number, "web", 6)
        assert [told(each) for each in cluster.containers(number, "web")] == listed
        assert cluster.get(number, "/apps/web") == app
        assert [each["name"] for each in cluster.get(number, "/volumes")["volumes"]] == ["kept"]
    assert all(each[5] == 0 for each in listed)
    # Whatever the agents do after their start, they do when they have caught up: that is proven by a new deploy.
    cluster.deploy(3, "news", 3)
    assert runs(cluster, "web") == engines


def test_what_died_while_no_daemon_ran_is_started_again(cluster: LabCluster) -> None:
    cluster.deploy(1, "web", 3)
    victim = cluster.containers(1, "web")[0]
    for number in cluster.numbers:
        cluster.node(number).kill9()
    cluster.node(cluster.number_of(victim["node_id"])).host.docker("kill", victim["engine_id"])
    for number in cluster.numbers:
        cluster.node(number).start()
    cluster.wait_ready(cluster.numbers)

    def counts() -> list[int]:
        return sorted(each["restart_count"] for each in cluster.wait_running(1, "web", 3))

    wait_until(lambda: counts() == [0, 0, 1], 30, "one restart, and just one")
    cluster.wait_engines_agree(2, "web", 3)


@pytest.mark.parametrize("victim", [pytest.param("follower", marks=pytest.mark.soak), "leader"])
def test_sigterm_ends_a_daemon_in_order_and_moves_nothing(cluster: LabCluster, victim: str) -> None:
    cluster.deploy(1, "web", 6)
    cluster.wait_engines_agree(1, "web", 6)
    cluster.wait_alike("web")
    leader = cluster.leader(1)
    number = leader if victim == "leader" else next(n for n in cluster.numbers if n != leader)
    other = next(n for n in cluster.numbers if n != number)
    engines, listed = runs(cluster, "web"), [told(each) for each in cluster.containers(other, "web")]

    asked_s = time.monotonic()
    assert cluster.node(number).sigterm() == 0
    assert time.monotonic() - asked_s < 10
    cluster.wait_status(other, number, "restarting")
    # Long enough that a node which did not announce itself would have been lost (see test_node_loss).
    until_s = time.monotonic() + 8
    while time.monotonic() < until_s:
        assert cluster.get(other, f"/nodes/{cluster.node(number).name}")["status"] == "restarting"
        assert [told(each) for each in cluster.containers(other, "web")] == listed
        time.sleep(0.3)
    assert runs(cluster, "web") == engines

    cluster.node(number).start()
    cluster.wait_ready(cluster.numbers)
    cluster.deploy(number, "news", 3)
    assert [told(each) for each in cluster.containers(number, "web")] == listed
    assert runs(cluster, "web") == engines


def test_a_second_daemon_on_the_same_data_dir_is_refused(cluster: LabCluster) -> None:
    node = cluster.node(2)
    assert node.start_again() == 1
    assert f"a daemon runs on {node.data_dir} already (pid " in node.log_tail()
    assert node.is_running()
    assert cluster.ready_nodes(2) == {each.name for each in cluster.nodes}


def test_an_engine_that_is_killed_and_started_again_gets_its_containers_back(cluster: LabCluster) -> None:
    """Without live-restore an engine that starts kills what it finds running; with it: see the next test."""
    cluster.deploy(1, "web", 6)
    node = cluster.node(2)
    node.host.kill_engine()
    # The daemon answers without its engine, and gets along.
    assert cluster.get(2, "/apps/web")["replicas"] == 6
    node.host.start_engine()
    cluster.wait_engines_agree(2, "web", 6)
    assert cluster.spread(1, "web") == {1: 2, 2: 2, 3: 2}
    assert cluster.node(2).is_running()


def test_containers_that_outlive_their_engine_are_kept(tmp_path: Path) -> None:
    with (
        Lab(1, dockerd_args=["--live-restore"]) as lab,
        LabCluster(lab, data_dir=tmp_path) as cluster,
    ):
        listed = [told(each) for each in cluster.deploy(1, "web", 2)]
        engines = runs(cluster, "web")
        host = cluster.node(1).host
        host.kill_engine()
        wait_until(lambda: "engine_unavailable" in cluster.node(1).log.read_text(), 30, "word of the engine's end")
        assert [told(each) for each in cluster.containers(1, "web")] == listed
        host.start_engine()
        wait_until(lambda: "engine_answers_again" in cluster.node(1).log.read_text(), 30, "word of the engine's return")
        cluster.post(1, "/scale", {"name": "web", "replicas": 3})
        assert listed == [told(each) for each in cluster.wait_running(1, "web", 3)][:2]
        assert engines.items() <= runs(cluster, "web").items()
