"""Corners of rollouts on real daemons (issue 5, Rollouts): few replicas, no surge, changes in place, what must not run
twice, and an app that is scaled or deleted meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.test_rollout_walk import Walk
from tests.support.again import again_and_again
from tests.support.apps import Sleeper, containers, delete
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak


@contextmanager
def _counted(walk: Walk) -> Iterator[list[int]]:
    """How many containers of the app ran, again and again."""
    counts: list[int] = []

    def count() -> None:
        shown = containers(walk.cluster, 1, walk.name)
        counts.append(sum(item["status"] == "running" for item in shown))

    with again_and_again(count, 0.05):
        yield counts


def test_a_single_replica_has_its_canary_beside_it(three: Cluster) -> None:
    walk = Walk(three, "single", 1)
    deployment_id = walk.begin({"type": "canary", "percentage": 10, "promotion": "manual"}, image="two")
    walk.images({"one": 1, "two": 1})
    time.sleep(1.0)
    walk.images({"one": 1, "two": 1})
    walk.ask("POST", f"/deployments/{deployment_id}/promote")
    walk.until(deployment_id, "completed")
    walk.images({"two": 1})
    delete(three, 1, "single")


def test_a_hand_ends_an_interval(three: Cluster) -> None:
    walk = Walk(three, "hand", 2)
    deployment_id = walk.begin({"type": "canary", "percentage": 50, "interval": "10m"}, image="two")
    walk.images({"one": 1, "two": 1})
    walk.ask("POST", f"/deployments/{deployment_id}/promote")
    walk.until(deployment_id, "completed", timeout_s=20.0)
    delete(three, 1, "hand")


def test_without_surge_there_is_never_one_more(three: Cluster) -> None:
    walk = Walk(three, "tight", 3)
    with _counted(walk) as counts:
        deployment_id = walk.begin({"type": "rolling-update", "max_surge": 0, "monitor": "200ms"}, image="two")
        walk.until(deployment_id, "completed")
        walk.images({"two": 3})
    assert max(counts) == 3
    delete(three, 1, "tight")


def test_what_must_not_run_twice_does_not_in_a_restart_or_an_update(three: Cluster) -> None:
    walk = Walk(three, "once", 1, keep_lost=True)
    (before,) = walk.ids()
    with _counted(walk) as counts:
        walk.ask("POST", "/restart", {"name": "once"})
        wait_until(lambda: before not in walk.ids() and len(walk.ids()) == 1, 30.0, "it is restarted")
        walk.images({"one": 1})
        deployment_id = walk.begin({"type": "rolling-update", "monitor": "200ms"}, image="two")
        walk.until(deployment_id, "completed")
        walk.images({"two": 1})
    assert max(counts) == 1
    delete(three, 1, "once")


def test_more_replicas_are_no_matter_of_one_that_was_restarted(three: Cluster) -> None:
    sleeper = Sleeper("grown")
    walk = Walk(three, "grown", 2, command=["sleep", sleeper.seconds])
    victim = next(iter(sleeper.processes()))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(sleeper.processes()) == 2 and victim not in sleeper.processes(), 30.0, "it is restarted")
    walk.images({"one": 2})
    answer = walk.ask("PUT", "/apps/grown", {**walk.body, "replicas": 4})
    walk.until(answer["deployment_id"], "completed")
    walk.images({"one": 4})
    delete(three, 1, "grown")


def test_steps_stay_as_many_while_it_is_scaled_and_its_end_is_told(three: Cluster) -> None:
    walk = Walk(three, "scaled", 4)
    strategy = {"type": "rolling-update", "max_surge": 1, "batch_delay": "1s"}
    deployment_id = walk.begin(strategy, image="two")
    walk.until(deployment_id, "in_progress", 2)
    walk.ask("POST", "/scale", {"name": "scaled", "replicas": 2})
    seen = [walk.status(deployment_id)]
    while seen[-1]["status"] == "in_progress":
        time.sleep(0.1)
        seen.append(walk.status(deployment_id))
    steps = [told["current_step"] for told in seen]
    assert seen[-1]["status"] == "completed", seen[-1]
    assert steps == sorted(steps)
    assert {told["total_steps"] for told in seen} == {4}
    assert (seen[-1]["current_step"], seen[-1]["target_replicas"]) == (4, 2)
    walk.images({"two": 2})
    last = walk.begin(strategy, image="three")
    delete(three, 1, "scaled")
    told = walk.until(last, "failed")
    assert told["message"] == "the app was deleted"
    assert walk.events(last)[-1] == "failed"


def test_on_a_full_cluster_it_says_what_it_waits_for_or_an_old_one_makes_room(three: Cluster) -> None:
    """Each node has room for one replica."""
    with three.client(1) as client:
        room = min(node["resources"]["cpu_total"] for node in client.get("/api/nodes").json()["data"]["nodes"])
    walk = Walk(three, "full", 3, resources={"cpu": room})
    first = walk.begin({"type": "rolling-update", "max_surge": 1, "max_unavailable": 0}, image="two")
    wait_until(lambda: "max_unavailable lets none be missing" in walk.status(first)["message"], 10.0, "it says why")
    assert "3 nodes lack cpu" in walk.ask("GET", "/apps/full")["deployment_message"]
    walk.ask("POST", f"/deployments/{first}/rollback")
    walk.until(first, "rolled_back")
    second = walk.begin({"type": "rolling-update", "max_surge": "100%", "max_unavailable": 1}, image="three")
    walk.until(second, "completed")
    walk.images({"three": 3})
    delete(three, 1, "full")


def test_a_drain_leaves_the_only_one_that_must_not_run_twice_until_it_may(three: Cluster) -> None:
    walk = Walk(three, "lone", 1, keep_lost=True, min_available=1)
    (before,) = walk.ids()
    node = containers(three, 1, "lone")[0]["node_id"]
    blocked = three.cli(2, "node", "drain", node, "--wait", "--timeout", "2")
    assert blocked.returncode == 1
    assert "min_available (1) lets none be missing" in blocked.stderr
    assert walk.ids() == {before}
    with _counted(walk) as counts:
        walk.ask("POST", "/restart", {"name": "lone"})
        wait_until(lambda: before not in walk.ids() and len(walk.ids()) == 1, 30.0, "it is moved")
        walk.images({"one": 1})
    assert max(counts) == 1
    assert containers(three, 1, "lone")[0]["node_id"] != node
    walk.ask("POST", f"/nodes/{node}/maintenance", {"enable": False})
    delete(three, 1, "lone")
