"""Scheduled backups: created, changed, begun and ended. No volume has two at once."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import alert
from consensus.commands import (
    BeginBackup,
    CreateBackupSchedule,
    DeleteBackupSchedule,
    EndBackup,
    RaiseAlert,
    ResolveAlert,
    TriggerBackup,
    UpdateBackupSchedule,
)
from consensus.draft import Draft
from consensus.model.alert import Alert, Severity
from consensus.model.backup import BackupResult, BackupRun, BackupSchedule, BackupSpec
from consensus.model.event import EventType
from consensus.model.node import NodeStatus
from consensus.outcomes import AnyOutcome, BackupStarted, Done, Refusal, conflict, invalid, not_found
from consensus.state import State
from consensus.timestamp import iso_utc

BACKUP_FAILED = "backup-failed."
"""How the id of the alert begins; the schedule's name follows."""


def create(draft: Draft, command: CreateBackupSchedule) -> AnyOutcome:
    spec = command.spec
    if spec.name in draft.state.backup_schedules:
        return conflict(f"backup schedule {spec.name!r} exists already; PUT /backup-schedules/{spec.name} changes it")
    refusal = _unfit(draft.state, spec)
    if refusal is not None:
        return refusal
    now_s = draft.time_s
    draft.put_backup_schedule(
        BackupSchedule(spec=spec, created_at_s=now_s, updated_at_s=now_s, scheduled_until_s=now_s)
    )
    return Done()


def _unfit(state: State, spec: BackupSpec) -> Refusal | None:
    volume = state.volumes.get(spec.volume)
    if volume is None:
        return invalid(f"volume: there is no volume {spec.volume!r}")
    if volume.type != "local":
        return invalid(f"volume: expected a local one, {spec.volume!r} is of type {volume.type}")
    return None


def update(draft: Draft, command: UpdateBackupSchedule) -> AnyOutcome:
    spec = command.spec
    known = draft.state.backup_schedules.get(spec.name)
    if known is None:
        return not_found("backup schedule", spec.name)
    refusal = _unfit(draft.state, spec)
    if refusal is not None:
        return refusal
    changed = replace(known, spec=spec, updated_at_s=draft.time_s)
    before = known.spec
    if (spec.schedule, spec.time_zone, spec.suspended) != (before.schedule, before.time_zone, before.suspended):
        # What the new schedule would have meant before it was one is nobody's wish.
        changed = replace(changed, scheduled_until_s=draft.time_s, skipped="")
    draft.put_backup_schedule(changed)
    return Done()


def delete(draft: Draft, command: DeleteBackupSchedule) -> AnyOutcome:
    if command.name not in draft.state.backup_schedules:
        return not_found("backup schedule", command.name)
    _forget(draft, command.name)
    return Done()


def forget_of(draft: Draft, volume: str) -> None:
    """The schedules of a volume that is no more."""
    for _, schedule in sorted(draft.state.backup_schedules.items()):
        if schedule.spec.volume == volume:
            _forget(draft, schedule.name)


def _forget(draft: Draft, name: str) -> None:
    draft.delete_backup_schedule(name)
    _resolve_alert(draft, name)


def obstacle(state: State, schedule: BackupSchedule) -> str:
    """Why no backup may begin now; "" where one may."""
    name = schedule.spec.volume
    volume = state.volumes[name]
    if volume.node_id is None:
        return f"volume {name!r} has no data yet: no container has mounted it"
    node = state.nodes.get(volume.node_id)
    if node is None or node.status is not NodeStatus.READY:
        return f"node {volume.node_id} of volume {name!r} is {'gone' if node is None else node.status.value}"
    for other in state.backup_schedules.values():
        if other.spec.volume == name and other.running is not None:
            return f"volume {name!r} is being backed up by schedule {other.name!r}"
    return ""


def trigger(draft: Draft, command: TriggerBackup) -> AnyOutcome:
    schedule = draft.state.backup_schedules.get(command.name)
    if schedule is None:
        return not_found("backup schedule", command.name)
    reason = obstacle(draft.state, schedule)
    if reason:
        return conflict(reason)
    return _begin(draft, schedule)


def begin(draft: Draft, command: BeginBackup) -> AnyOutcome:
    """What is dealt with already, perhaps by the leader before this one, changes nothing."""
    schedule = draft.state.backup_schedules.get(command.name)
    if schedule is None:
        return not_found("backup schedule", command.name)
    at_s = command.scheduled_at_s
    if command.number != schedule.next_number or schedule.spec.suspended:
        return Done()
    if at_s is not None:
        if at_s <= schedule.scheduled_until_s:
            return Done()
        schedule = replace(schedule, scheduled_until_s=at_s)
    if command.skip:
        at = iso_utc(draft.time_s if at_s is None else at_s)
        draft.put_backup_schedule(replace(schedule, skipped=f"{at}: {command.skip}"))
        return Done()
    reason = obstacle(draft.state, schedule)
    if reason:
        return conflict(reason)
    return _begin(draft, schedule)


def _begin(draft: Draft, schedule: BackupSchedule) -> BackupStarted:
    node_id = draft.state.volumes[schedule.spec.volume].node_id or ""
    run = BackupRun(number=schedule.next_number, node_id=node_id, started_at_s=draft.time_s)
    draft.put_backup_schedule(replace(schedule, running=run, next_number=run.number + 1))
    _emit(draft, EventType.BACKUP_STARTED, schedule, run)
    return BackupStarted(number=run.number)


def end(draft: Draft, command: EndBackup) -> AnyOutcome:
    schedule = draft.state.backup_schedules.get(command.name)
    if schedule is None:
        return not_found("backup schedule", command.name)
    run = schedule.running
    if run is None or run.number != command.number:
        return conflict(f"backup {command.number} of schedule {command.name!r} does not go on")
    result = BackupResult(
        number=run.number,
        node_id=run.node_id,
        started_at_s=run.started_at_s,
        ended_at_s=draft.time_s,
        error=command.error,
        stored=command.stored,
        size_bytes=command.size_bytes,
        deleted=command.deleted,
        warning=command.warning,
    )
    schedule = replace(schedule, running=None, last=result)
    if command.error:
        draft.put_backup_schedule(replace(schedule, failures=schedule.failures + 1))
        _emit(draft, EventType.BACKUP_FAILED, schedule, run, message=command.error)
    else:
        draft.put_backup_schedule(replace(schedule, failures=0, last_good=result))
        stored, size = command.stored, command.size_bytes
        _emit(draft, EventType.BACKUP_COMPLETED, schedule, run, stored=stored, size=size, message=command.warning)
    if command.error or command.warning:
        _raise_alert(draft, schedule, command.error or command.warning)
    else:
        _resolve_alert(draft, schedule.name)
    return Done()


def _raise_alert(draft: Draft, schedule: BackupSchedule, reason: str) -> None:
    volume = schedule.spec.volume
    raised = Alert(
        id=BACKUP_FAILED + schedule.name,
        severity=Severity.WARNING,
        resource=f"volume/{volume}",
        message=f"backup of volume {volume} by schedule {schedule.name}: {reason}",
        created_at_s=draft.time_s,
    )
    alert.raise_alert(draft, RaiseAlert(raised))


def _resolve_alert(draft: Draft, name: str) -> None:
    if BACKUP_FAILED + name in draft.state.alerts:
        alert.resolve(draft, ResolveAlert(BACKUP_FAILED + name))


def _emit(draft: Draft, event_type: EventType, schedule: BackupSchedule, run: BackupRun, **data: str | int) -> None:
    name, volume = schedule.name, schedule.spec.volume
    resources = [f"backup-schedule/{name}", f"volume/{volume}", f"node/{run.node_id}"]
    told = {"schedule": name, "volume": volume, "number": run.number, "node_id": run.node_id, **data}
    draft.emit(event_type, resources, **told)
