"""Preemption says what it does: who goes and for whom, who waits meanwhile, and that nobody of these has failed."""

from __future__ import annotations

from msgspec.structs import replace

from consensus import commands as c
from consensus.features import LEVEL, level_of
from hivemind.orchestrator import conditions, placement, replicas
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from tests.consensus.making import ADMIN, CLUSTER, Feed, running, spec

IDLE = Surroundings()


def cluster(level: int = LEVEL) -> Feed:
    """One node, full of what is not important."""
    feed = Feed()
    feed.add_nodes(1, cpu=2.0)
    feed.accepted(c.FoundCluster(replace(CLUSTER, feature_level=level), ADMIN))
    feed.accepted(c.DeployApp(spec("low", 3, cpu=1, priority_class="low-priority")))
    place(feed)
    return feed


def place(feed: Feed) -> None:
    """Until nothing is left to decide; what is placed runs."""
    for _ in range(4):
        feed.accepted(*replicas.plan(feed.state, feed.state.apps), *placement.plan(feed.state, IDLE))
        for task in list(feed.state.tasks.values()):
            if task.wanted and task.node_id is not None and not task.serving:
                feed.report(running(), task.id)


def test_it_says_who_makes_room_for_whom_and_the_preempted_come_back() -> None:
    feed = cluster()
    feed.accepted(c.DeployApp(spec("vip", 1, cpu=2, priority_class="high-priority")))
    before = feed.machine.events.newest
    place(feed)

    gone = [task for task in feed.tasks("low") if not task.wanted]
    words = "preempted: it makes room for vip, which is more important"
    assert [task.placement_message for task in gone] == [words] * 2
    told = [event.data for event in feed.machine.events.after(before) if event.type == "container_preempted"]  # type: ignore[union-attr]
    assert [(data["id"], data["message"]) for data in told] == [(task.id, words) for task in gone]
    (vip,) = feed.tasks("vip")
    assert vip.placement_message == "waits for room on n1, where less important replicas stop"
    # It has a place as soon as they have stopped: that is no alert.
    alerts = conditions.plan(feed.state, ["low", "vip"], 2000.0)
    assert [one.alert.id for one in alerts if isinstance(one, c.RaiseAlert)] == ["app-failing.low"]
    assert placement.plan(feed.state, IDLE) == []

    # What the first one leaves is kept for it: its own successor would only be preempted again.
    feed.accepted(c.ReportTasks("n1", [], [gone[0].id]))
    assert placement.plan(feed.state, IDLE) == []
    feed.accepted(c.ReportTasks("n1", [], [gone[1].id]))
    place(feed)
    (vip,) = feed.tasks("vip")
    assert (vip.node_id, vip.placement_message, vip.serving) == ("n1", "", True)
    assert sum(task.serving for task in feed.tasks("low")) == 1
    feed.accepted(c.DeleteApp("vip"), c.ReportTasks("n1", [], [vip.id]))
    place(feed)
    assert sum(task.serving for task in feed.tasks("low")) == len(feed.tasks("low")) == 3


def test_a_task_that_waits_for_room_is_told_nothing_else_while_others_are_placed() -> None:
    feed = cluster()
    feed.accepted(c.DeployApp(spec("vip", 1, cpu=2, priority_class="high-priority")))
    place(feed)
    feed.accepted(c.DeployApp(spec("idle", 1, priority_class="low-priority")))
    (told,) = placement.plan(feed.state, IDLE)
    assert isinstance(told, c.PlaceTasks)
    assert [one.task_id for one in told.placements] == [task.id for task in feed.tasks("idle")]


def test_nodes_that_do_not_know_the_word_are_not_told_for_whom() -> None:
    feed = cluster(level=1)
    feed.accepted(c.DeployApp(spec("vip", 1, cpu=2, priority_class="high-priority")))
    gone = [command for command in placement.plan(feed.state, IDLE) if isinstance(command, c.RemoveTasks)]
    assert [(len(command.task_ids), level_of(command)) for command in gone] == [(2, 1)]
