"""When the leader begins a scheduled backup, again or not at all (issue 6, Volumes)."""

from __future__ import annotations

from consensus import commands as c
from consensus.model.node import NodeStatus
from hivemind.orchestrator.backups import BackupWatch, due_s
from tests.consensus.apply.test_backup import feed_with, row, spec


def test_only_the_last_of_the_missed_instants_is_made_up_for() -> None:
    feed, watch = feed_with(), BackupWatch()
    assert (watch.plan(feed.state, 1019.0), watch.due_at_s) == ([], 1020.0)
    assert watch.plan(feed.state, 1320.0 + 59) == [c.BeginBackup("nightly", 1, 1320.0)]
    assert watch.plan(feed.state, 1320.0 + 59) == [c.BeginBackup("nightly", 1, 1320.0)], "until it has begun"
    feed.accepted(c.BeginBackup("nightly", 1, 1320.0))
    assert watch.plan(feed.state, 1320.0 + 59) == []


def test_schedules_of_one_volume_take_turns_and_none_is_left_out() -> None:
    feed, watch = feed_with(spec("a"), spec("b")), BackupWatch()
    assert watch.plan(feed.state, 1020.0) == [c.BeginBackup("a", 1, 1020.0)]
    feed.accepted(c.BeginBackup("a", 1, 1020.0))
    assert watch.plan(feed.state, 1021.0) == []
    feed.accepted(c.EndBackup("a", 1, stored="x"))
    assert watch.plan(feed.state, 1022.0) == [c.BeginBackup("b", 1, 1020.0)]


def test_a_failed_one_is_made_again_later_and_later() -> None:
    feed, watch = feed_with(spec(schedule="@yearly")), BackupWatch()
    feed.accepted(c.TriggerBackup("nightly"))
    for number, pause_s in ((1, 60.0), (2, 120.0), (3, 240.0)):
        feed.accepted(c.EndBackup("nightly", number, error="no room"))
        last = row(feed).last
        assert last is not None
        assert watch.plan(feed.state, last.ended_at_s + pause_s - 1) == []
        assert watch.due_at_s == last.ended_at_s + pause_s
        (again,) = watch.plan(feed.state, last.ended_at_s + pause_s)
        assert again == c.BeginBackup("nightly", number + 1)
        feed.accepted(again)


def test_one_of_a_lost_node_is_ended_and_waits_until_the_node_is_back() -> None:
    feed, watch = feed_with(), BackupWatch()
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0))
    feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST, "n1-1", "gone"))
    (ended,) = watch.plan(feed.state, 1021.0)
    assert ended == c.EndBackup("nightly", 1, error="node n1 was lost meanwhile")
    feed.accepted(ended)
    assert watch.plan(feed.state, 2000.0) == []
    feed.accepted(c.SetNodeStatus("n1", NodeStatus.LOST, NodeStatus.READY, "n1-1"))
    assert watch.plan(feed.state, 2001.0) == [c.BeginBackup("nightly", 2, 1980.0)]


def test_one_whose_node_says_nothing_is_ended_after_its_timeout() -> None:
    feed, watch = feed_with(spec(timeout="10m")), BackupWatch()
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0))
    run = row(feed).running
    assert run is not None
    assert watch.plan(feed.state, run.started_at_s + 659) == []
    assert watch.due_at_s == run.started_at_s + 660
    (ended,) = watch.plan(feed.state, run.started_at_s + 660)
    assert "not done within 10m" in ended.error


def test_without_data_the_instant_is_left_out_and_a_suspended_one_rests() -> None:
    feed, watch = feed_with(node_id=None), BackupWatch()
    (left_out,) = watch.plan(feed.state, 1020.0)
    assert isinstance(left_out, c.BeginBackup)
    assert "no data yet" in left_out.skip
    feed.accepted(left_out)
    assert watch.plan(feed.state, 1021.0) == []
    feed.accepted(c.UpdateBackupSchedule(spec(suspended=True)))
    assert (watch.plan(feed.state, 9999.0), due_s(row(feed))) == ([], float("inf"))
