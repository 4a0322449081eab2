"""Which backups a node makes, once each, and what it tells the cluster (issue 6, Volumes)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from consensus import commands as c
from consensus.errors import Unavailable
from consensus.machine import Machine
from consensus.model.backup import BackupRun, BackupSchedule
from consensus.proposer import LocalProposer
from runtime.volumes.backup_keeper import BackupKeeper
from runtime.volumes.backup_store import StoreError
from runtime.volumes.backups import Made
from tests.consensus.apply.test_backup import feed_with, spec


class PlayedBackups:
    """Backups that take until `go` is set."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.begun: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.error: Exception | None = None

    async def make(self, schedule: BackupSchedule, run: BackupRun) -> Made:
        self.begun.append((schedule.name, run.number))
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.ended.append("cancelled")
            raise
        if self.error is not None:
            raise self.error
        self.ended.append("done")
        return Made(stored=f"b{run.number}", size_bytes=5, deleted=0)


class Shaky:
    """A proposer that has no leader at first."""

    def __init__(self, machine: Machine) -> None:
        self._inner = LocalProposer(machine, now_s=lambda: 5000.0)
        self.failures = 0

    async def propose(self, command: Any, **more: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("no leader")
        return await self._inner.propose(command, **more)


@pytest.fixture
async def world(nursery: trio.Nursery) -> Any:
    feed = feed_with(spec(), spec("elsewhere", volume="data"))
    played, proposer = PlayedBackups(), Shaky(feed.machine)

    async def caught_up() -> None:
        await trio.lowlevel.checkpoint()

    def keeper() -> BackupKeeper:
        made: Any = played
        given: Any = proposer
        return BackupKeeper("n1", feed.machine, given, made, caught_up)

    nursery.start_soon(keeper().run)
    return feed, played, proposer, keeper


async def settled() -> None:
    with trio.fail_after(2):
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_it_makes_its_own_once_and_tells_until_it_is_heard(world: Any, autojump_clock: Any) -> None:
    feed, played, proposer, _ = world
    await proposer.propose(c.TriggerBackup("nightly"))
    await settled()
    await proposer.propose(c.CreateBackupSchedule(spec("third")))
    await settled()
    assert played.begun == [("nightly", 1)]
    proposer.failures = 3
    played.go.set()
    await trio.sleep(30)
    row = feed.state.backup_schedules["nightly"]
    assert (row.running, row.last.stored, row.last_good) == (None, "b1", row.last)


async def test_a_failure_is_told_in_its_own_words(world: Any) -> None:
    feed, played, proposer, _ = world
    played.error = StoreError("no room in the store")
    played.go.set()
    await proposer.propose(c.TriggerBackup("nightly"))
    await settled()
    assert feed.state.backup_schedules["nightly"].last.error == "no room in the store"


@pytest.mark.parametrize("given_up", [c.DeleteBackupSchedule("nightly"), c.EndBackup("nightly", 1, error="lost")])
async def test_one_that_the_cluster_has_given_up_is_ended(world: Any, given_up: c.AnyCommand) -> None:
    _, played, proposer, _ = world
    await proposer.propose(c.TriggerBackup("nightly"))
    await settled()
    await proposer.propose(given_up)
    await settled()
    assert played.ended == ["cancelled"]


async def test_it_ends_by_itself_after_its_timeout(world: Any, autojump_clock: Any) -> None:
    feed, played, proposer, _ = world
    await proposer.propose(c.UpdateBackupSchedule(spec(timeout="10m")))
    await proposer.propose(c.TriggerBackup("nightly"))
    await trio.sleep(601)
    assert feed.state.backup_schedules["nightly"].last.error == "it was not done within 10m"
    assert played.ended == ["cancelled"]


async def test_a_daemon_that_is_back_begins_what_went_on_anew(world: Any, nursery: trio.Nursery) -> None:
    _, played, proposer, keeper = world
    await proposer.propose(c.TriggerBackup("nightly"))
    await settled()
    nursery.start_soon(keeper().run)
    await settled()
    assert played.begun == [("nightly", 1)] * 2
