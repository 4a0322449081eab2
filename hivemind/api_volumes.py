"""The API's VolumeGateway (api/volume_gateway.py) over the runtime's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

from api import volume_gateway as api
from runtime.volumes.archive import Compression, Contents
from runtime.volumes.errors import (
    ArchiveRefused,
    BackupMissing,
    BackupStoreFailed,
    VolumeError,
    VolumeNotHere,
    VolumeStorageFull,
    VolumeUnreachable,
)
from runtime.volumes.gateway import VolumeGateway

_KINDS: tuple[tuple[type[VolumeError], type[Exception]], ...] = (
    (VolumeUnreachable, api.VolumeUnavailable),
    (VolumeNotHere, api.VolumeMissing),
    (BackupMissing, api.VolumeMissing),
    (BackupStoreFailed, api.BackupStoreUnavailable),
    (ArchiveRefused, api.ArchiveInvalid),
    (VolumeStorageFull, api.VolumeDiskFull),
)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except VolumeError as error:
        kind = next((theirs for ours, theirs in _KINDS if isinstance(error, ours)), api.VolumeConflict)
        raise kind(str(error)) from error


class ApiVolumes:
    """Implements api.VolumeGateway."""

    def __init__(self, gateway: VolumeGateway) -> None:
        self._gateway = gateway

    async def usage(self, node_id: str, name: str) -> api.VolumeContents:
        with _translated():
            return _contents(await self._gateway.usage(node_id, name))

    @asynccontextmanager
    async def backup(self, node_id: str, name: str, compression: str) -> AsyncIterator[AsyncIterator[bytes]]:
        with _translated():
            async with self._gateway.backup(node_id, name, cast(Compression, compression)) as pieces:
                yield pieces

    async def restore(self, node_id: str, name: str, pieces: AsyncIterator[bytes]) -> api.VolumeContents:
        with _translated():
            return _contents(await self._gateway.restore(node_id, name, pieces))

    async def copy(self, node_id: str, source: str, name: str) -> api.VolumeContents:
        with _translated():
            return _contents(await self._gateway.copy(node_id, source, name))

    async def move(self, name: str, *, source: str, target: str) -> api.VolumeContents:
        with _translated():
            return _contents(await self._gateway.move(name, source=source, target=target))

    async def arrived(self, node_id: str, name: str) -> None:
        with _translated():
            await self._gateway.arrived(node_id, name)

    async def stored(self, node_id: str, schedule: str) -> list[api.StoredBackup]:
        with _translated():
            found = await self._gateway.stored(node_id, schedule)
        return [api.StoredBackup(backup.name, backup.size_bytes) for backup in found]

    async def restore_stored(self, node_id: str, schedule: str, backup: str, volume: str) -> api.VolumeContents:
        with _translated():
            return _contents(await self._gateway.restore_stored(node_id, schedule, backup, volume))


def _contents(contents: Contents) -> api.VolumeContents:
    return api.VolumeContents(contents.size_bytes, contents.files)
