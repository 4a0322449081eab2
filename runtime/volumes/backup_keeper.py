"""Makes the scheduled backups that are this node's to make, and tells the cluster how they went.

What goes on is in the replica; a daemon that was restarted meanwhile begins it anew, and one whose backup the cluster
has given up ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog
import trio

from consensus.commands import EndBackup
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.backup import BackupRun, BackupSchedule
from consensus.proposer import Proposer
from runtime.backoff import Backoff
from runtime.volumes.backup_store import StoreError
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.errors import VolumeError

log = structlog.get_logger()

Key = tuple[str, int]
"""A schedule's name, and the number of its backup."""
Going = dict[Key, tuple[BackupSchedule, BackupRun]]


class BackupKeeper:
    """`caught_up` returns when the replica is good enough to act on."""

    def __init__(
        self,
        node_id: str,
        machine: Machine,
        proposer: Proposer,
        backups: VolumeBackups,
        caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._node_id = node_id
        self._machine = machine
        self._proposer = proposer
        self._backups = backups
        self._caught_up = caught_up
        self._going_on: dict[Key, trio.CancelScope] = {}

    async def run(self) -> None:
        await self._caught_up()
        index, seen = self._machine.watch.index, None
        async with trio.open_nursery() as nursery:
            while True:
                schedules = self._machine.state.backup_schedules
                if schedules is not seen:
                    seen = schedules
                    self._reconcile(self._mine(schedules.values()), nursery)
                index = await self._machine.watch.changed(index)

    def _mine(self, schedules: Iterable[BackupSchedule]) -> Going:
        going: Going = {}
        for schedule in schedules:
            if schedule.running is not None and schedule.running.node_id == self._node_id:
                going[schedule.name, schedule.running.number] = schedule, schedule.running
        return going

    def _reconcile(self, wanted: Going, nursery: trio.Nursery) -> None:
        for key in self._going_on.keys() - wanted.keys():
            self._going_on[key].cancel()
        for key in wanted.keys() - self._going_on.keys():
            self._going_on[key] = scope = trio.CancelScope()
            nursery.start_soon(self._one, key, *wanted[key], scope)

    async def _one(self, key: Key, schedule: BackupSchedule, run: BackupRun, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._tell(await self._made(schedule, run))
        finally:
            del self._going_on[key]

    async def _made(self, schedule: BackupSchedule, run: BackupRun) -> EndBackup:
        name, spec = schedule.name, schedule.spec
        log.info("backup_begins", schedule=name, volume=spec.volume, number=run.number)
        error = f"it was not done within {spec.timeout}"
        with trio.move_on_after(spec.timeout_s):
            try:
                made = await self._backups.make(schedule, run)
            except (StoreError, VolumeError) as failure:
                error = str(failure)
            else:
                log.info("backup_done", schedule=name, stored=made.stored, size_bytes=made.size_bytes)
                return EndBackup(
                    name=name,
                    number=run.number,
                    stored=made.stored,
                    size_bytes=made.size_bytes,
                    deleted=made.deleted,
                    warning=made.warning,
                )
        log.warning("backup_failed", schedule=name, volume=spec.volume, number=run.number, reason=error)
        return EndBackup(name=name, number=run.number, error=error)

    async def _tell(self, end: EndBackup) -> None:
        """Until it is accepted, or refused: then somebody else has ended it."""
        backoff = Backoff(first_s=0.5, last_s=10.0)
        while True:
            try:
                await self._proposer.propose(end)
            except ConsensusError as error:
                log.info("backup_report_delayed", schedule=end.name, reason=str(error))
                await trio.sleep(backoff.next_s())
            else:
                return
