"""The status of an app, from what its replicas say."""

from __future__ import annotations

import pytest

from api.views.app import app_item
from api.views.container import container_item
from consensus import commands as c
from consensus.model.node import NodeStatus
from consensus.model.task import TaskState, TaskStatus
from tests.consensus.making import Feed, running, spec

FAILED = TaskStatus(state=TaskState.FAILED, message="exited with code 3; given up after 2 restarts", final=True)
COMPLETED = TaskStatus(state=TaskState.COMPLETED, exit_code=0, final=True)
STARTING = TaskStatus(state=TaskState.STARTING)


@pytest.mark.parametrize(
    ("replicas", "status"),
    [
        ((running(), running()), "running"),
        ((running(), STARTING), "deploying"),
        ((running(), FAILED), "degraded"),
        ((STARTING, FAILED), "failed"),
        ((COMPLETED, STARTING), "deploying"),
        ((COMPLETED, COMPLETED), "completed"),
        ((), "scaled_down"),
    ],
)
def test_it_says_what_the_replicas_are_up_to(replicas: tuple[TaskStatus, ...], status: str) -> None:
    """What had ended for good was deploying for ever."""
    feed = Feed()
    feed.add_nodes(1)
    feed.accepted(c.DeployApp(spec("web", len(replicas))))
    feed.accepted(c.PlaceTasks([c.Placement(task.id, "n1") for task in feed.tasks()]))
    for task, reported in zip(feed.tasks(), replicas, strict=True):
        feed.report(reported, task.id)
    assert app_item(feed.state, feed.state.apps["web"]).status == status


def test_nobody_knows_what_becomes_of_replicas_on_a_lost_node() -> None:
    """Those that stay there (`keep_lost`, `reschedule_after`) were shown running and healthy."""
    feed = Feed()
    feed.add_nodes(2)
    feed.accepted(c.DeployApp(spec("web", 2, keep_lost=True)))
    first, second = feed.tasks()
    feed.accepted(c.PlaceTasks([c.Placement(first.id, "n1"), c.Placement(second.id, "n2")]))
    feed.report(running(), first.id)
    feed.report(running(), second.id)
    feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.LOST))
    item = app_item(feed.state, feed.state.apps["web"])
    assert (item.status, item.running_replicas) == ("degraded", 1)
    seen, unseen = (container_item(feed.state, task) for task in feed.tasks())
    assert (seen.status, seen.health.status, seen.message) == ("running", "healthy", "")
    assert (unseen.status, unseen.health.status, unseen.message) == ("unknown", "unknown", "node n2 is lost")
