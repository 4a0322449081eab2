"""Scheduled backups as state: what each command does and refuses (issue 6, Volumes)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from consensus.model.backup import BackupSchedule, BackupSpec, DirectoryTarget, Retention, S3Target
from consensus.model.node import NodeStatus
from consensus.model.volume import Volume
from consensus.outcomes import Refusal
from tests.consensus.making import Feed


def spec(name: str = "nightly", **more: Any) -> BackupSpec:
    given = {"volume": "data", "schedule": "* * * * *", "target": DirectoryTarget(path="/backups"), **more}
    return BackupSpec(name=name, **given)


def feed_with(*specs: BackupSpec, node_id: str | None = "n1") -> Feed:
    feed = Feed()
    feed.add_nodes(2)
    feed.accepted(c.CreateVolume(Volume(name="data", created_at_s=1.0, node_id=node_id)))
    for each in specs or (spec(),):
        feed.accepted(c.CreateBackupSchedule(each))
    return feed


def row(feed: Feed, name: str = "nightly") -> BackupSchedule:
    return feed.state.backup_schedules[name]


def kinds(feed: Feed) -> list[str]:
    events = feed.machine.events.after(feed.machine.events.before_oldest)
    assert isinstance(events, list)
    return [event.type for event in events if event.type.startswith(("backup_", "alert_"))]


def refused(feed: Feed, command: c.AnyCommand) -> str:
    outcome = feed(command)
    assert isinstance(outcome, Refusal)
    return outcome.message


def test_a_volume_has_one_backup_at_a_time_whoever_asks() -> None:
    feed = feed_with(spec(), spec("hourly"))
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0))
    run = row(feed).running
    assert run is not None
    assert (run.node_id, run.number, row(feed).scheduled_until_s) == ("n1", 1, 1020.0)
    for command in (c.TriggerBackup("hourly"), c.TriggerBackup("nightly"), c.BeginBackup("hourly", 1, 1020.0)):
        assert "is being backed up by schedule 'nightly'" in refused(feed, command)
    feed.accepted(c.EndBackup("nightly", 1, stored="x", size_bytes=5))
    feed.accepted(c.TriggerBackup("hourly"))
    assert row(feed, "hourly").running is not None
    assert kinds(feed) == ["backup_started", "backup_completed", "backup_started"]


def test_what_a_leader_says_twice_counts_once() -> None:
    feed = feed_with()
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0))
    feed.accepted(c.EndBackup("nightly", 1, stored="x"))
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0))
    feed.accepted(c.BeginBackup("nightly", 2, 1020.0))
    assert row(feed).running is None
    assert row(feed).next_number == 2
    assert "does not go on" in refused(feed, c.EndBackup("nightly", 1))


def test_a_failure_is_told_by_an_alert_until_one_ends_well() -> None:
    feed = feed_with()
    feed.accepted(c.TriggerBackup("nightly"))
    feed.accepted(c.EndBackup("nightly", 1, error="no room"))
    alert = feed.state.alerts["backup-failed.nightly"]
    assert (alert.resource, "no room" in alert.message) == ("volume/data", True)
    assert row(feed).failures == 1
    feed.accepted(c.TriggerBackup("nightly"))
    feed.accepted(c.EndBackup("nightly", 2, stored="x"))
    last, good = row(feed).last, row(feed).last_good
    assert last == good
    assert (row(feed).failures, dict(feed.state.alerts)) == (0, {})
    started = ["backup_started", "backup_failed", "alert_created", "backup_started"]
    assert kinds(feed) == [*started, "backup_completed", "alert_resolved"]


def test_nothing_begins_without_data_or_on_a_node_that_is_away() -> None:
    feed = feed_with(node_id=None)
    assert "has no data yet" in refused(feed, c.TriggerBackup("nightly"))
    feed.accepted(c.BeginBackup("nightly", 1, 1020.0, "no data yet"))
    assert (row(feed).skipped, row(feed).running) == ("1970-01-01T00:17:00Z: no data yet", None)
    feed = feed_with()
    feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST, "n1-1", "gone"))
    assert "node n1 of volume 'data' is lost" in refused(feed, c.TriggerBackup("nightly"))


def test_a_new_schedule_makes_up_for_nothing_before_it() -> None:
    feed = feed_with()
    created_s = row(feed).created_at_s
    feed.accepted(c.UpdateBackupSchedule(spec(keep=Retention(count=3))))
    assert row(feed).scheduled_until_s == created_s
    feed.accepted(c.UpdateBackupSchedule(spec(schedule="0 * * * *")))
    assert row(feed).scheduled_until_s == row(feed).updated_at_s > created_s


def test_schedules_go_with_their_volume_and_their_alert_with_them() -> None:
    feed = feed_with(spec(), spec("hourly"))
    feed.accepted(c.TriggerBackup("nightly"))
    feed.accepted(c.EndBackup("nightly", 1, error="no room"))
    feed.accepted(c.DeleteVolume("data"))
    assert (dict(feed.state.backup_schedules), dict(feed.state.alerts)) == ({}, {})


def test_unknown_names_are_refused() -> None:
    feed = feed_with()
    assert "exists already" in refused(feed, c.CreateBackupSchedule(spec()))
    assert "there is no volume 'x'" in refused(feed, c.UpdateBackupSchedule(spec(volume="x")))
    feed.accepted(c.CreateVolume(Volume(name="m", type="ephemeral", created_at_s=1.0)))
    assert "expected a local one" in refused(feed, c.CreateBackupSchedule(spec("other", volume="m")))
    feed.accepted(c.DeleteBackupSchedule("nightly"))
    for command in (c.UpdateBackupSchedule(spec()), c.DeleteBackupSchedule("nightly"), c.TriggerBackup("nightly")):
        assert "nightly" in refused(feed, command)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"schedule": "soon"}, "schedule"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"timeout": "0s"}, "timeout"),
        ({"keep": Retention(age="0s")}, "keep.age"),
        ({"target": DirectoryTarget(path="backups")}, "target.path"),
        ({"target": DirectoryTarget(path="/a/../etc")}, "target.path"),
        ({"target": S3Target(bucket="a/b")}, "target.bucket"),
        ({"target": S3Target(bucket="abc", prefix="/x")}, "target.prefix"),
        ({"target": S3Target(bucket="abc", endpoint="ftp://x")}, "target.endpoint"),
        ({"target": S3Target(bucket="abc", endpoint="http://user:secret@x")}, "target.endpoint"),
        ({"target": S3Target(bucket="abc", endpoint="http://x:99999")}, "target.endpoint"),
        ({"target": S3Target(bucket="abc", access_key_id="A")}, "target.secret_access_key"),
    ],
)
def test_problems_name_the_field(wrong: dict[str, Any], path: str) -> None:
    assert [found for found, _ in spec(**wrong).problems()] == [path]
    assert list(spec(target=S3Target(bucket="abc", endpoint="http://127.0.0.1:9000")).problems()) == []
