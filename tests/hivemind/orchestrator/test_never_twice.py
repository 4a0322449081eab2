"""Apps of which nothing may run twice (`keep_lost`): each replica has ended before its successor starts."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from consensus.drain import Remaining, drain_progress
from consensus.model.deployment import Change, Deployment, DeploymentStatus
from consensus.model.node import NodeStatus
from consensus.model.strategy import Canary, RollingUpdate, Simple, Strategy
from consensus.model.task import Task
from hivemind.orchestrator import lost, replicas, rolling, rollout
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all


def _deployed(replicas: int = 2, nodes: int = 3, **more: Any) -> Feed:
    feed = cluster(nodes)
    feed.accepted(c.DeployApp(spec("db", replicas, keep_lost=True, **more)))
    serve_all(feed)
    return feed


def _lose(feed: Feed, node_id: str) -> None:
    feed.accepted(c.SetNodeStatus(node_id, NodeStatus.READY, NodeStatus.LOST))


def _return(feed: Feed, node_id: str) -> None:
    feed.accepted(c.SetNodeStatus(node_id, NodeStatus.LOST, NodeStatus.READY))


def _round(feed: Feed, wall_s: float) -> None:
    """The leader's work, and that of the agents that are there. No slot may have two replicas that may run."""
    for name in ("lost", "rollout", "replicas", "rolling"):
        plans = {
            "lost": lambda: lost.plan(feed.state, wall_s),
            "rollout": lambda: rollout.plan(feed.state, wall_s),
            "replicas": lambda: replicas.plan(feed.state, ["db"]),
            "rolling": lambda: rolling.plan(feed.state, ["db"]),
        }
        feed.accepted(*plans[name]())  # type: ignore[arg-type]
    place_all(feed)
    slots = [task.slot for task in feed.tasks("db") if task.node_id is not None]
    assert len(set(slots)) == len(slots), "two may run"
    for task in feed.tasks("db"):
        if task.node_id is None or not feed.state.nodes[task.node_id].holds_tasks:
            continue
        if not task.wanted:
            feed.accepted(c.ReportTasks(task.node_id, [], [task.id]))
        elif not task.serving:
            feed.report(running(), task.id)


def _rounds(feed: Feed, after_s: float = 60.0, count: int = 25) -> None:
    for _ in range(count):
        _round(feed, 1000.0 + feed.machine.index + after_s)


def _images(feed: Feed) -> list[str]:
    return [feed.state.spec_of(task).image for task in feed.tasks("db") if task.wanted]


def _deploy(feed: Feed, strategy: Strategy) -> Deployment:
    feed.accepted(c.CreateDeployment("db", Change(image="new"), strategy, execute=True))
    return next(iter(feed.state.deployments.values()))


def _one_of(feed: Feed, node_id: str) -> Task:
    return next(task for task in feed.tasks("db") if task.node_id == node_id)


def test_a_restart_and_a_drain_stop_first() -> None:
    """Two ran until the new one served."""
    feed = _deployed()
    before = {task.id for task in feed.tasks("db")}
    feed.accepted(c.RestartApp("db"))
    _rounds(feed)
    assert not before & {task.id for task in feed.tasks("db")}
    drained = str(feed.tasks("db")[0].node_id)
    feed.accepted(c.SetMaintenance(drained, enable=True, drain=True))
    _rounds(feed)
    assert not list(feed.state.tasks_on_node(drained))
    assert len(_images(feed)) == 2


def test_a_drain_stops_first_only_what_min_available_spares() -> None:
    """The only replica was stopped, whatever the app had said."""
    feed = _deployed(1, min_available=1)
    (task,) = feed.tasks("db")
    drained = str(task.node_id)
    feed.accepted(c.SetMaintenance(drained, enable=True, drain=True))
    _rounds(feed)
    assert feed.tasks("db") == [task]
    progress = drain_progress(feed.state, feed.state.nodes[drained])
    assert progress is not None
    assert progress.remaining == [
        Remaining(
            task.id,
            "db",
            "it must not run twice and so would stop first, but min_available (1) lets none be missing;"
            " more replicas, a lower min_available, or a restart of the app move it",
            blocked=True,
        )
    ]
    # A second one is enough, and the first one goes.
    feed.accepted(c.ScaleApp("db", 2))
    _rounds(feed)
    assert not list(feed.state.tasks_on_node(drained))
    assert len(_images(feed)) == 2


def test_a_restart_is_a_way_out_of_a_drain_that_is_blocked() -> None:
    feed = _deployed(1, min_available="100%")
    drained = str(feed.tasks("db")[0].node_id)
    feed.accepted(c.SetMaintenance(drained, enable=True, drain=True))
    _rounds(feed)
    assert list(feed.state.tasks_on_node(drained))
    feed.accepted(c.RestartApp("db"))
    _rounds(feed)
    assert not list(feed.state.tasks_on_node(drained))
    assert len(_images(feed)) == 1


@pytest.mark.parametrize("strategy", [Simple(), RollingUpdate(), RollingUpdate(max_unavailable=1), Canary(interval=1)])
def test_a_rollout_waits_for_a_lost_node(strategy: Strategy) -> None:
    """What should stop there was forgotten, and its successor began while it may have run on."""
    feed = _deployed()
    gone = str(feed.tasks("db")[0].node_id)
    _lose(feed, gone)
    deployment = _deploy(feed, strategy)
    _rounds(feed)
    assert feed.state.deployments[deployment.id].status is DeploymentStatus.IN_PROGRESS
    assert _one_of(feed, gone).slot in {task.slot for task in feed.tasks("db")}
    _return(feed, gone)
    _rounds(feed)
    assert feed.state.deployments[deployment.id].status is DeploymentStatus.COMPLETED
    assert _images(feed) == ["new", "new"]


def test_where_the_node_does_not_return_the_rollout_is_given_up() -> None:
    feed = _deployed()
    gone = str(feed.tasks("db")[0].node_id)
    _lose(feed, gone)
    deployment = _deploy(feed, Simple(progress_deadline="5m"))
    _rounds(feed)
    _rounds(feed, after_s=400)
    _rounds(feed, after_s=800)
    _rounds(feed, after_s=1200)
    ended = feed.state.deployments[deployment.id]
    assert ended.status is DeploymentStatus.ROLLED_BACK
    assert ended.message == "the old replicas have not stopped, no progress for 300 s; 1 of 2 old replicas fail, too"
    assert _images(feed) == ["busybox"]
    feed.accepted(c.RemoveNode(gone, force=True))
    _rounds(feed)
    assert _images(feed) == ["busybox", "busybox"]


def test_a_scale_takes_no_slot_that_may_still_run() -> None:
    feed = _deployed(3)
    gone = str(feed.tasks("db")[-1].node_id)
    _lose(feed, gone)
    feed.accepted(c.ScaleApp("db", 2), c.ScaleApp("db", 3))
    _rounds(feed)
    assert len(_images(feed)) == 3
    feed.accepted(c.DeleteApp("db"))
    _rounds(feed, count=3)
    assert not feed.tasks("db")
