"""Events: the same everywhere, remembered, resumed by id; behind what is remembered lies a gap (design.md §2.6)."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consensus import commands as c
from consensus.events import EventLog, Gap, History
from consensus.follow import event_id, follow, resume_position
from consensus.machine import Machine
from consensus.model.event import Event, EventId, EventPosition, EventType
from consensus.model.node import NodeStatus
from consensus.model.task import Health, TaskState, TaskStatus
from tests.consensus.making import ADMIN, CLUSTER, Feed, running, spec


def event(index: int, number: int = 0) -> Event:
    return Event(position=EventPosition(index, number), type=EventType.NODE_JOINED, resources=[], data={})


def types(feed: Feed, after: EventPosition) -> list[str]:
    news = feed.machine.events.after(after)
    assert not isinstance(news, Gap)
    return [e.type.value for e in news]


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 12), st.integers(0, 70))
def test_after_any_position_come_all_later_events_or_a_gap(sizes: list[int], remembered: int, since: int) -> None:
    log, everything = EventLog(remembered=remembered), list[Event]()
    for index, size in enumerate(sizes, 1):
        batch = [event(index, n) for n in range(size)]
        log.append(batch)
        everything += batch
    position, got = EventPosition(since, 0), list[Event]()
    news = log.after(position, most=3)
    if isinstance(news, Gap):
        assert news.after == position < news.until
        position = news.until
        news = log.after(position, most=3)
    while news:
        assert not isinstance(news, Gap)
        got += news
        news = log.after(got[-1].position, most=3)
    assert got == [e for e in everything if e.position > position]
    assert len(got) >= min(remembered, len([e for e in everything if e.position > EventPosition(since, 0)]))
    assert log.newest == (everything[-1].position if everything else EventPosition(0, 0))


def test_a_snapshot_keeps_the_last_events_and_where_the_gap_ends() -> None:
    log = EventLog(remembered=10)
    log.append([event(i) for i in range(1, 16)])
    history = log.freeze()
    assert [e.position.index for e in history.events] == list(range(6, 16))
    assert history.forgotten == EventPosition(5, 0)
    restored = EventLog(history, remembered=10)
    assert restored.after(EventPosition(3, 0)) == Gap(EventPosition(3, 0), EventPosition(5, 0))
    assert restored.after(EventPosition(5, 0)) == list(history.events)
    assert EventLog(History(), remembered=10).newest == EventPosition(0, 0)


def test_ids_name_epoch_index_and_number() -> None:
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    text = event_id(feed.machine, EventPosition(7, 2))
    assert text == "e1.7.2"
    assert str(EventId.parse(text)) == text
    for wrong in ("", "7.2", "e1.7", "e1.x.2", "e1.7.2.1", "e1.-1.0"):
        with pytest.raises(ValueError, match="event id"):
            EventId.parse(wrong)


def test_resume_goes_on_after_the_id_and_another_epoch_from_the_beginning() -> None:
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    feed.add_nodes(2)
    newest = feed.machine.events.newest
    assert resume_position(feed.machine, None) == newest
    assert resume_position(feed.machine, "e1.3.0") == EventPosition(3, 0)
    assert resume_position(feed.machine, "e0.900.0") == EventPosition(0, 0)
    with pytest.raises(ValueError, match="event id"):
        resume_position(feed.machine, "yesterday")


async def test_following_gives_history_then_live_without_gap_or_repeat() -> None:
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    feed.add_nodes(2)
    got: list[EventPosition] = []
    with trio.fail_after(5):
        async with aclosing(follow(feed.machine, EventPosition(0, 0))) as events:
            async for item in events:
                assert isinstance(item, Event)
                got.append(item.position)
                if len(got) in (2, 6):
                    feed.accepted(c.DeployApp(spec(f"app{len(got)}")), c.DeleteApp(f"app{len(got)}"))
                if item.position == feed.machine.events.newest and len(got) >= 8:
                    break
    everything = feed.machine.events.after(EventPosition(0, 0))
    assert isinstance(everything, list)
    assert got == [e.position for e in everything]


async def test_a_client_moves_to_another_node_by_the_id_of_its_last_event() -> None:
    """Bar 7 of issue 2, on two replicas: one from the log, one from a snapshot and the rest of the log."""
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    feed.add_nodes(3)
    other = Machine()
    other.restore(feed.machine.freeze()())
    seen = len(feed.entries)
    feed.accepted(c.DeployApp(spec("web", 2)), c.DeleteApp("web"), c.RemoveNode("n2"))
    for entry in feed.entries[seen:]:
        other.apply(other.index + 1, entry)
    everything = feed.machine.events.after(EventPosition(0, 0))
    assert isinstance(everything, list)
    for i, last in enumerate(everything):
        position = resume_position(other, event_id(feed.machine, last.position))
        assert other.events.after(position) == everything[i + 1 :]


def test_a_follower_that_is_too_slow_gets_a_gap() -> None:
    log = EventLog(remembered=5)
    for i in range(1, 30):
        log.append([event(i)])
    gap = log.after(EventPosition(2, 0))
    assert isinstance(gap, Gap)
    rest = log.after(gap.until)
    assert isinstance(rest, list)
    assert rest[-1].position.index == 29


class TestWhatIsTold:
    """The events of the API reference, from the commands that cause them."""

    def test_a_nodes_life(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        assert types(feed, EventPosition(0, 0)) == ["node_joined", "node_health_changed"]
        start = feed.machine.events.newest
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.RESTARTING))
        assert types(feed, start) == ["node_health_changed"]
        start = feed.machine.events.newest
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.RESTARTING, NodeStatus.LOST))
        assert types(feed, start) == ["node_health_changed", "node_left"]
        start = feed.machine.events.newest
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.LOST, NodeStatus.READY))
        assert types(feed, start) == ["node_joined", "node_health_changed"]

    def test_a_run_that_was_too_short_to_be_seen_has_begun_and_ended(self) -> None:
        """Each turn of a crash loop is told of, though no report says `running`."""
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.DeployApp(spec("web")))
        (task,) = feed.tasks()
        feed.accepted(c.PlaceTasks([c.Placement(task.id, "n1")]))
        feed.report(TaskStatus(state=TaskState.STARTING, engine_id="e"), task.id)
        crashed = TaskStatus(state=TaskState.FAILED, engine_id="e", started_at_s=5.0, exit_code=7)
        start = feed.machine.events.newest
        feed.report(crashed, task.id)
        assert types(feed, start) == ["container_started", "container_stopped"]
        (_, ended) = feed.machine.events.freeze().events[-2:]
        assert (ended.data["status"], ended.data["exit_code"]) == ("failed", 7)
        start = feed.machine.events.newest
        feed.report(replace(crashed, message="given up", final=True), task.id)
        assert types(feed, start) == []
        feed.report(replace(crashed, restart_count=1, started_at_s=6.0), task.id)
        assert types(feed, start) == ["container_started", "container_stopped"]

    def test_a_containers_life(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.DeployApp(spec("web")))
        (task,) = feed.tasks()
        feed.accepted(c.PlaceTasks([c.Placement(task.id, "n1")]))
        start = feed.machine.events.newest
        feed.report(TaskStatus(state=TaskState.STARTING, engine_id="e"), task.id)
        feed.report(running(health=Health.STARTING), task.id)
        feed.report(running(), task.id)
        feed.accepted(c.DeleteApp("web"))
        feed.accepted(c.ReportTasks("n1", [], [task.id]))
        assert types(feed, start) == [
            "container_created",
            "container_started",
            "container_health_changed",
            "container_health_changed",
            "service_updated",
            "service_updated",
            "container_stopped",
            "container_deleted",
        ]
        assert not feed.state.tasks
