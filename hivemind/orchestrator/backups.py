"""Scheduled backups: an instant that has come begins one, a failed one is made again, one of a lost node is ended.

After a time without a leader only the last instant that was missed is made up for. One whose volume is being backed
up by another schedule, or whose node is away, waits.
"""

from __future__ import annotations

from consensus.apply.backup import obstacle
from consensus.commands import BeginBackup, EndBackup
from consensus.model.backup import BackupRun, BackupSchedule
from consensus.model.node import NodeStatus
from consensus.model.schedule import last_due_s, next_due_s
from consensus.state import State

RETRY_FIRST_S = 60.0
RETRY_MOST_S = 3600.0
REPORT_S = 60.0
"""How long after its timeout a node may take to say that a backup was not done in time."""
_NEVER = float("inf")


def retry_at_s(schedule: BackupSchedule) -> float:
    """When one that failed is made again, in Unix seconds; infinity where the last did not fail."""
    if schedule.last is None or not schedule.failures:
        return _NEVER
    return schedule.last.ended_at_s + min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(schedule.failures - 1, 10))


def due_s(schedule: BackupSchedule) -> float:
    """When time alone makes it due, in Unix seconds."""
    if schedule.running is not None:
        return _deadline_s(schedule, schedule.running)
    if schedule.spec.suspended:
        return _NEVER
    spec = schedule.spec
    return min(retry_at_s(schedule), next_due_s(spec.schedule, spec.time_zone, schedule.scheduled_until_s))


def _deadline_s(schedule: BackupSchedule, run: BackupRun) -> float:
    return run.started_at_s + schedule.spec.timeout_s + REPORT_S


class BackupWatch:
    """Which schedules are due, so that a round costs little where none is. Pure bookkeeping for one term."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[BackupSchedule, float]] = {}
        self._looked_s = 0.0

    @property
    def due_at_s(self) -> float:
        """The first instant at which one comes to be due. One that is, and waits, goes on with news."""
        return min((at_s for _, at_s in self._due.values() if at_s > self._looked_s), default=_NEVER)

    def plan(self, state: State, wall_s: float) -> list[BeginBackup | EndBackup]:
        """`wall_s` is Unix time."""
        commands: list[BeginBackup | EndBackup] = []
        begun: set[str] = set()
        known, self._due = self._due, {}
        for name in sorted(state.backup_schedules):
            schedule = state.backup_schedules[name]
            before, at_s = known.get(name, (None, 0.0))
            if before is not schedule:
                at_s = due_s(schedule)
            command: BeginBackup | EndBackup | None = None
            if schedule.running is not None:
                command = _ended(state, schedule, schedule.running, wall_s)
            elif at_s <= wall_s and schedule.spec.volume not in begun:
                command = begin = _begun(state, schedule, wall_s)
                if begin is not None and not begin.skip:
                    begun.add(schedule.spec.volume)
            if command is not None:
                commands.append(command)
            self._due[name] = schedule, at_s
        self._looked_s = wall_s
        return commands


def _ended(state: State, schedule: BackupSchedule, run: BackupRun, wall_s: float) -> EndBackup | None:
    node = state.nodes.get(run.node_id)
    if node is None or node.status in (NodeStatus.LOST, NodeStatus.LEFT):
        error = f"node {run.node_id} was lost meanwhile"
    elif wall_s >= _deadline_s(schedule, run):
        error = f"it was not done within {schedule.spec.timeout}, and node {run.node_id} does not say why"
    else:
        return None
    return EndBackup(name=schedule.name, number=run.number, error=error)


def _begun(state: State, schedule: BackupSchedule, wall_s: float) -> BeginBackup | None:
    spec = schedule.spec
    instant_s = last_due_s(spec.schedule, spec.time_zone, schedule.scheduled_until_s, wall_s)
    reason = obstacle(state, schedule)
    if not reason:
        return BeginBackup(name=schedule.name, number=schedule.next_number, scheduled_at_s=instant_s)
    if state.volumes[spec.volume].node_id is None and instant_s is not None:
        return BeginBackup(schedule.name, schedule.next_number, instant_s, reason)
    return None
