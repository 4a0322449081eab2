"""Schedules of backups: what was asked for, and how the last backups went."""

from __future__ import annotations

from msgspec import Struct

from api.views.container import time_or_none
from api.views.fields import same_fields
from consensus.model.backup import (
    BackupResult,
    BackupSchedule,
    BackupSpec,
    BackupTiming,
    DirectoryTarget,
    S3Place,
    S3Target,
)
from consensus.model.schedule import next_due_s
from consensus.state import State
from consensus.timestamp import iso_utc


class S3Body(S3Place, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="s3"):
    """`secret_access_key` is never shown; where it is left out in a change, and the id is the same, it stays."""

    secret_access_key: str | None = None


class ScheduleBody(BackupTiming, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`passphrase`: backups are encrypted by it. It is never shown; left out in a change it stays, "" ends it."""

    target: DirectoryTarget | S3Body
    passphrase: str | None = None


class BackupResultItem(Struct, frozen=True, kw_only=True):
    """How one ended: `error`, or the name under which it is `stored`. `deleted`: how many were too old."""

    number: int
    node_id: str
    started_at: str
    finished_at: str
    status: str
    stored: str
    bytes: int
    deleted: int
    message: str


class BackupScheduleItem(Struct, frozen=True, kw_only=True):
    """`status` is of the last backup: running, succeeded, failed, or none yet (waiting).

    `namespace`: its volume's. `failures`: how many failed since the last that succeeded. `skipped`: the last instant
    that was left out, and why.
    """

    name: str
    namespace: str
    volume: str
    schedule: str
    time_zone: str
    target: str
    encrypted: bool
    suspended: bool
    status: str
    running_since: str | None
    last_success_at: str | None
    last_stored: str | None
    last_error: str | None
    failures: int
    skipped: str
    next_backup_at: str | None
    created_at: str
    updated_at: str


class BackupScheduleDetail(BackupScheduleItem, frozen=True, kw_only=True):
    """`spec` is a body of ``PUT /backup-schedules/{name}``, without the secrets."""

    last: BackupResultItem | None
    spec: ScheduleBody


def _target_text(spec: BackupSpec) -> str:
    target = spec.target
    if isinstance(target, S3Target):
        return f"s3://{target.bucket}/{target.prefix}" + ("" if target.endpoint is None else f" at {target.endpoint}")
    return target.path


def _status(schedule: BackupSchedule) -> str:
    if schedule.running is not None:
        return "running"
    if schedule.last is None:
        return "waiting"
    return "failed" if schedule.last.error else "succeeded"


def _next_s(schedule: BackupSchedule) -> float | None:
    if schedule.spec.suspended:
        return None
    found = next_due_s(schedule.spec.schedule, schedule.spec.time_zone, schedule.scheduled_until_s)
    return None if found == float("inf") else found


def backup_schedule_item(state: State, schedule: BackupSchedule) -> BackupScheduleItem:
    spec, last, good = schedule.spec, schedule.last, schedule.last_good
    return BackupScheduleItem(
        name=spec.name,
        namespace=state.volumes[spec.volume].namespace,
        volume=spec.volume,
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        target=_target_text(spec),
        encrypted=spec.passphrase_sealed is not None,
        suspended=spec.suspended,
        status=_status(schedule),
        running_since=None if schedule.running is None else iso_utc(schedule.running.started_at_s),
        last_success_at=None if good is None else iso_utc(good.started_at_s),
        last_stored=None if good is None else good.stored,
        last_error=None if last is None else last.error or last.warning or None,
        failures=schedule.failures,
        skipped=schedule.skipped,
        next_backup_at=time_or_none(_next_s(schedule)),
        created_at=iso_utc(schedule.created_at_s),
        updated_at=iso_utc(schedule.updated_at_s),
    )


def backup_schedule_detail(state: State, schedule: BackupSchedule) -> BackupScheduleDetail:
    item = backup_schedule_item(state, schedule)
    told = same_fields(BackupScheduleItem, item)
    last = None if schedule.last is None else _result_item(schedule.last)
    return BackupScheduleDetail(**told, last=last, spec=_shown(schedule.spec))


def _shown(spec: BackupSpec) -> ScheduleBody:
    target: DirectoryTarget | S3Body | S3Target = spec.target
    if isinstance(target, S3Target):
        target = S3Body(**same_fields(S3Place, target))
    return ScheduleBody(**same_fields(BackupTiming, spec), target=target)


def _result_item(result: BackupResult) -> BackupResultItem:
    return BackupResultItem(
        number=result.number,
        node_id=result.node_id,
        started_at=iso_utc(result.started_at_s),
        finished_at=iso_utc(result.ended_at_s),
        status="failed" if result.error else "succeeded",
        stored=result.stored,
        bytes=result.size_bytes,
        deleted=result.deleted,
        message=result.error or result.warning,
    )
