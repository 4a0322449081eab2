# Made from _async by scripts/sync_client.py; change it there.
"""What users call for volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class SyncVolumeMethods(SyncOperations):
    """What users call for volumes."""

    def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return self.list_of("/volumes", "volumes", models.Volume, query)

    def volume(self, name: str) -> models.Volume:
        return typed(self.get(f"/volumes/{path_part(name)}"), models.Volume)

    def create_volume(
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
        return typed(self.post("/volumes/create", body), Done)

    def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(self.post("/volumes/delete", {"name": name, "force": force}), Done)

    def volume_usage(self, name: str) -> models.VolumeUsage:
        return typed(self.get(f"/volumes/{path_part(name)}/usage"), models.VolumeUsage)

    def backup_volume(
        self,
        name: str,
        *,
        compression: str = "zstd",
    ) -> AbstractContextManager[Iterator[bytes]]:
        """A compressed tar, piece by piece; where it breaks off, the iterator raises."""
        return self.download(f"/volumes/{path_part(name)}/backup", compression=compression)

    def restore_volume(
        self,
        name: str,
        pieces: Iterator[bytes],
        *,
        node: str | None = None,
    ) -> models.VolumeData:
        """Replaces all that it has by what the archive has, or changes nothing."""
        answer = self.upload(f"/volumes/{path_part(name)}/restore", pieces, node=node)
        return typed(answer.data, models.VolumeData)

    def restore_volume_from(
        self,
        name: str,
        schedule: str,
        *,
        backup: str | None = None,
        node: str | None = None,
    ) -> models.VolumeData:
        """As `restore_volume`, from a scheduled backup; by default from the newest."""
        body = {"schedule": schedule, "backup": backup, "node": node}
        return typed(self.post(f"/volumes/{path_part(name)}/restore", body), models.VolumeData)

    def clone_volume(self, name: str, new_name: str, *, labels: Mapping[str, str] = {}) -> models.VolumeData:
        body = {"name": new_name, "labels": dict(labels)}
        return typed(self.post(f"/volumes/{path_part(name)}/clone", body), models.VolumeData)

    def volume_snapshots(self, name: str, **query: Scalar) -> Page[models.Volume]:
        return self.list_of(f"/volumes/{path_part(name)}/snapshots", "snapshots", models.Volume, query)

    def snapshot_volume(
        self,
        name: str,
        snapshot_name: str,
        *,
        labels: Mapping[str, str] = {},
    ) -> models.VolumeData:
        body = {"name": snapshot_name, "labels": dict(labels)}
        return typed(self.post(f"/volumes/{path_part(name)}/snapshots", body), models.VolumeData)

    def roll_back_volume(self, name: str, snapshot: str) -> models.VolumeData:
        """As it was when the snapshot was taken."""
        return typed(self.post(f"/volumes/{path_part(name)}/rollback", {"snapshot": snapshot}), models.VolumeData)

    def move_volume(self, name: str, node: str) -> models.VolumeData:
        """To another node, while no container mounts it."""
        return typed(self.post(f"/volumes/{path_part(name)}/move", {"node": node}), models.VolumeData)
