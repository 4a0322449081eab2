"""Apps of many replicas: no entry makes or ends so many that it would hold the loop; the leader does the rest."""

from __future__ import annotations

from consensus import commands as c
from consensus.apply.app import TASKS_AT_ONCE
from consensus.outcomes import Deployed, Scaled
from hivemind.orchestrator import replicas
from hivemind.orchestrator.batches import TASKS_PER_COMMAND
from tests.consensus.making import Feed, spec

MANY = 1300


def finish(feed: Feed) -> list[int]:
    """What the leader does until nothing is left; how many replicas each command concerned."""
    sizes = []
    while plan := replicas.plan(feed.state, {"web"}):
        for command in plan:
            sizes.append(len(command.slots if isinstance(command, c.CreateTasks) else command.task_ids))
        feed.accepted(*plan)
    return sizes


def in_slices(count: int) -> list[int]:
    return [min(TASKS_PER_COMMAND, count - done) for done in range(0, count, TASKS_PER_COMMAND)]


def wanted(feed: Feed) -> list[int]:
    return sorted(task.slot for task in feed.tasks() if task.wanted)


def test_many_are_deployed_scaled_and_deleted_in_slices() -> None:
    feed = Feed()
    feed.add_nodes(1)
    outcome = feed(c.DeployApp(spec("web", MANY)))
    assert isinstance(outcome, Deployed)
    assert len(outcome.task_ids) == len(wanted(feed)) == TASKS_AT_ONCE
    assert finish(feed) == in_slices(MANY - TASKS_AT_ONCE)
    assert wanted(feed) == list(range(1, MANY + 1))
    outcome = feed(c.ScaleApp("web", 0))
    assert isinstance(outcome, Scaled)
    assert (outcome.removed, outcome.new_replicas) == ([], 0)
    assert finish(feed) == in_slices(MANY)
    assert wanted(feed) == []
    feed.accepted(c.ScaleApp("web", MANY))
    assert finish(feed) == in_slices(MANY)
    feed.accepted(c.PlaceTasks([c.Placement(task.id, "n1") for task in feed.tasks()]))
    feed.accepted(c.DeleteApp("web"))
    assert len(wanted(feed)) == MANY - TASKS_AT_ONCE
    assert finish(feed) == in_slices(MANY - TASKS_AT_ONCE)
    assert wanted(feed) == []
