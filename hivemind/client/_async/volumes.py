"""What users call for volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncVolumeMethods(AsyncOperations):
    """What users call for volumes."""

    async def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return await self.list_of("/volumes", "volumes", models.Volume, query)

    async def volume(self, name: str) -> models.Volume:
        return typed(await self.get(f"/volumes/{path_part(name)}"), models.Volume)

    async def create_volume(
        self,
        name: str,
        *,
        size: str | int | None = None,
        type: str = "local",
        labels: Mapping[str, str] = {},
        **options: Scalar,
    ) -> Done:
        """`options`: node, path, server, filesystem, mount_options, without_quota, as the type needs them."""
        body = {"name": name, "size": size, "type": type, "labels": dict(labels), **given(options)}
        return typed(await self.post("/volumes/create", body), Done)

    async def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(await self.post("/volumes/delete", {"name": name, "force": force}), Done)

    async def volume_usage(self, name: str) -> models.VolumeUsage:
        return typed(await self.get(f"/volumes/{path_part(name)}/usage"), models.VolumeUsage)

    def backup_volume(
        self,
        name: str,
        *,
        compression: str = "zstd",
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A compressed tar, piece by piece; where it breaks off, the iterator raises."""
        return self.download(f"/volumes/{path_part(name)}/backup", compression=compression)

    async def restore_volume(
        self,
        name: str,
        pieces: AsyncIterator[bytes],
        *,
        node: str | None = None,
    ) -> models.VolumeData:
        """Replaces all that it has by what the archive has, or changes nothing."""
        answer = await self.upload(f"/volumes/{path_part(name)}/restore", pieces, node=node)
        return typed(answer.data, models.VolumeData)

    async def restore_volume_from(
        self,
        name: str,
        schedule: str,
        *,
        backup: str | None = None,
        node: str | None = None,
    ) -> models.VolumeData:
        """As `restore_volume`, from a scheduled backup; by default from the newest."""
        body = {"schedule": schedule, "backup": backup, "node": node}
        return typed(await self.post(f"/volumes/{path_part(name)}/restore", body), models.VolumeData)

    async def clone_volume(self, name: str, new_name: str, *, labels: Mapping[str, str] = {}) -> models.VolumeData:
        body = {"name": new_name, "labels": dict(labels)}
        return typed(await self.post(f"/volumes/{path_part(name)}/clone", body), models.VolumeData)

    async def volume_snapshots(self, name: str, **query: Scalar) -> Page[models.Volume]:
        return await self.list_of(f"/volumes/{path_part(name)}/snapshots", "snapshots", models.Volume, query)

    async def snapshot_volume(
        self,
        name: str,
        snapshot_name: str,
        *,
        labels: Mapping[str, str] = {},
    ) -> models.VolumeData:
        body = {"name": snapshot_name, "labels": dict(labels)}
        return typed(await self.post(f"/volumes/{path_part(name)}/snapshots", body), models.VolumeData)

    async def roll_back_volume(self, name: str, snapshot: str) -> models.VolumeData:
        """As it was when the snapshot was taken."""
        return typed(await self.post(f"/volumes/{path_part(name)}/rollback", {"snapshot": snapshot}), models.VolumeData)

    async def move_volume(self, name: str, node: str) -> models.VolumeData:
        """To another node, while no container mounts it."""
        return typed(await self.post(f"/volumes/{path_part(name)}/move", {"node": node}), models.VolumeData)
