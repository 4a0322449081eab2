"""What the API needs of the data of volumes on any node; `hivemind/api_volumes.py` does it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct


class VolumeUnavailable(Exception):
    """The node that has the volume, or its engine, does not answer."""


class VolumeMissing(Exception):
    """There is no data of that volume where it was looked for."""


class VolumeConflict(Exception):
    """Not now, or not on this node; the text says why."""


class ArchiveInvalid(Exception):
    """What was sent is no whole archive, or what was to be sent changed meanwhile."""


class VolumeDiskFull(Exception):
    """The disk of the volume's node has no room."""


class BackupStoreUnavailable(Exception):
    """Where scheduled backups are kept does not answer, or refuses; the text says what."""


class StoredBackup(Struct, frozen=True):
    name: str
    size_bytes: int


class VolumeContents(Struct, frozen=True):
    """`files` counts everything but directories."""

    size_bytes: int
    files: int


class VolumeGateway(Protocol):
    """The data of local volumes on any node. Everything here raises the errors above.

    What `copy`, `move` and `restore` bring to a node stays there until `arrived`, and then as long as the state has it
    there.
    """

    async def usage(self, node_id: str, name: str) -> VolumeContents: ...

    def backup(self, node_id: str, name: str, compression: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A tar, compressed by gzip or zstd. The iterator raises where it breaks off."""
        ...

    async def restore(self, node_id: str, name: str, pieces: AsyncIterator[bytes]) -> VolumeContents:
        """Replaces all that the volume has by what the archive has, or changes nothing."""
        ...

    async def copy(self, node_id: str, source: str, name: str) -> VolumeContents: ...
    async def move(self, name: str, *, source: str, target: str) -> VolumeContents: ...
    async def arrived(self, node_id: str, name: str) -> None: ...

    async def stored(self, node_id: str, schedule: str) -> list[StoredBackup]:
        """The backups that a schedule has made and that there are, as `node_id` sees them; the newest first."""
        ...

    async def restore_stored(self, node_id: str, schedule: str, backup: str, volume: str) -> VolumeContents:
        """As `restore`, from one of them."""
        ...
