"""What users call for scheduled backups of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncBackupMethods(AsyncOperations):
    """What users call for scheduled backups of volumes."""

    async def create_backup_schedule(self, schedule: Mapping[str, Any]) -> Done:
        """`schedule` is the body of ``POST /backup-schedules``."""
        return typed(await self.post("/backup-schedules", schedule), Done)

    async def update_backup_schedule(self, schedule: Mapping[str, Any]) -> Done:
        """`schedule` is all of what it shall be; secrets that are left out stay."""
        return typed(await self.put(f"/backup-schedules/{path_part(schedule['name'])}", schedule), Done)

    async def backup_schedules(self, **query: Scalar) -> Page[models.BackupSchedule]:
        return await self.list_of("/backup-schedules", "backup_schedules", models.BackupSchedule, query)

    async def backup_schedule(self, name: str) -> models.BackupScheduleDetail:
        return typed(await self.get(f"/backup-schedules/{path_part(name)}"), models.BackupScheduleDetail)

    async def delete_backup_schedule(self, name: str) -> Done:
        """What it stored stays where it is."""
        return typed(await self.delete(f"/backup-schedules/{path_part(name)}"), Done)

    async def run_backup(self, name: str) -> models.BackupStarted:
        """One backup now."""
        return typed(await self.post(f"/backup-schedules/{path_part(name)}/run"), models.BackupStarted)

    async def stored_backups(self, name: str, **query: Scalar) -> Page[models.StoredBackup]:
        """Newest first."""
        path = f"/backup-schedules/{path_part(name)}/backups"
        return await self.list_of(path, "backups", models.StoredBackup, query)
