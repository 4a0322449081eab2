"""Scheduled backups of volumes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class BackupResult(Struct, frozen=True, kw_only=True):
    """How one ended: under which name it is `stored`, or in `message` why not. `deleted`: how many were too old."""

    number: int
    node_id: str
    started_at: datetime
    finished_at: datetime
    status: str
    stored: str = ""
    bytes: int = 0
    deleted: int = 0
    message: str = ""


class BackupSchedule(Struct, frozen=True, kw_only=True):
    """`status` is of the last backup: running, succeeded, failed, or waiting, where there was none."""

    name: str
    volume: str
    schedule: str
    target: str
    status: str
    created_at: datetime
    updated_at: datetime
    namespace: str = "default"
    time_zone: str = "UTC"
    encrypted: bool = False
    suspended: bool = False
    running_since: datetime | None = None
    last_success_at: datetime | None = None
    last_stored: str | None = None
    last_error: str | None = None
    failures: int = 0
    skipped: str = ""
    next_backup_at: datetime | None = None


class BackupScheduleDetail(BackupSchedule, frozen=True, kw_only=True):
    """`spec` is a body of ``PUT /backup-schedules/{name}``, without the secrets."""

    last: BackupResult | None = None
    spec: dict[str, Any] = field(default_factory=dict)


class BackupStarted(Struct, frozen=True, kw_only=True):
    name: str
    number: int
    message: str


class StoredBackup(Struct, frozen=True, kw_only=True):
    name: str
    bytes: int
