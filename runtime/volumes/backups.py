"""Scheduled backups as this node makes, lists and reads them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, cast

import structlog
import trio
from msgspec import Struct
from nacl.exceptions import CryptoError

from consensus.model.backup import BackupRun, BackupSchedule, BackupSpec, S3Target
from consensus.state import State
from runtime.volumes import sealing
from runtime.volumes.archive import Contents
from runtime.volumes.backup_names import backups_of, name_of, parsed, too_old
from runtime.volumes.backup_store import BackupStore, Stored, StoreError
from runtime.volumes.data import Pull, VolumeData
from runtime.volumes.directory_store import DirectoryStore
from runtime.volumes.errors import ArchiveRefused, BackupMissing, BackupStoreFailed
from runtime.volumes.s3_store import S3Store

log = structlog.get_logger()


class Made(Struct, frozen=True, kw_only=True):
    """A backup that is whole. `warning`: why not all that was too old is gone."""

    stored: str
    size_bytes: int
    deleted: int
    warning: str = ""


class VolumeBackups:
    """`unseal` opens what is sealed for the cluster's members. `make` raises StoreErrors, all raise VolumeErrors."""

    def __init__(
        self,
        data: VolumeData,
        *,
        state: Callable[[], State],
        unseal: Callable[[bytes], bytes],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._data = data
        self._state = state
        self._unseal = unseal
        self._now_s = now_s

    async def make(self, schedule: BackupSchedule, run: BackupRun) -> Made:
        """One new backup; then those that are too old are deleted, and not before."""
        spec, store = schedule.spec, self._store(schedule.spec)
        passphrase = self._passphrase(spec)
        name = name_of(
            spec.volume,
            began_s=run.started_at_s,
            number=run.number,
            compression=spec.compression,
            sealed=passphrase is not None,
        )
        await store.clear()
        async with self._data.backup(spec.volume, spec.compression) as pieces:
            if passphrase is None:
                size_bytes = await store.write(name, pieces)
            else:
                sealer = await trio.to_thread.run_sync(sealing.Sealer, passphrase)
                size_bytes = await store.write(name, _Sealed(pieces, sealer))
        deleted, warning = 0, ""
        try:
            known = backups_of(spec.volume, [stored.name for stored in await store.stored()])
            for old in too_old(known, spec.keep, self._now_s()):
                await store.remove(old.text)
                deleted += 1
        except StoreError as error:
            warning = f"what is too old was not all deleted: {error}"
            log.warning("old_backups_not_deleted", schedule=schedule.name, reason=str(error))
        return Made(stored=name, size_bytes=size_bytes, deleted=deleted, warning=warning)

    async def stored(self, schedule: str) -> list[Stored]:
        """The backups of the schedule's volume that there are, the newest first."""
        spec = self._spec(schedule)
        try:
            sizes = {stored.name: stored for stored in await self._store(spec).stored()}
        except StoreError as error:
            raise BackupStoreFailed(str(error)) from error
        return [sizes[name.text] for name in backups_of(spec.volume, sizes)]

    async def restore(self, schedule: str, name: str, volume: str) -> Contents:
        """Puts what backup `name` holds in the place of all that `volume` has here, or changes nothing."""
        spec, known = self._spec(schedule), parsed(name)
        if known is None or name not in [stored.name for stored in await self.stored(schedule)]:
            raise BackupMissing(f"schedule {schedule!r} has no backup {name!r}")
        try:
            async with self._store(spec).read(name) as pieces:
                if not known.sealed:
                    return await self._data.restore(volume, pieces)
                passphrase = self._passphrase(spec)
                if passphrase is None:
                    raise BackupStoreFailed(
                        f"backup {name!r} is encrypted, and schedule {schedule!r} has no passphrase"
                    )
                async with _opened(pieces, passphrase) as plain:
                    return await self._data.restore(volume, plain)
        except StoreError as error:
            raise BackupStoreFailed(str(error)) from error

    def _spec(self, schedule: str) -> BackupSpec:
        found = self._state().backup_schedules.get(schedule)
        if found is None:
            raise BackupMissing(f"there is no backup schedule {schedule!r}")
        return found.spec

    def _store(self, spec: BackupSpec) -> BackupStore:
        target = spec.target
        if isinstance(target, S3Target):
            sealed = target.secret_key_sealed
            secret_key = None if sealed is None else self._opened_secret(sealed, "secret_access_key").decode()
            return S3Store(target, secret_key, spec.name)
        return DirectoryStore(target.path, spec.name)

    def _passphrase(self, spec: BackupSpec) -> bytes | None:
        sealed = spec.passphrase_sealed
        return None if sealed is None else self._opened_secret(sealed, "passphrase")

    def _opened_secret(self, sealed: bytes, field: str) -> bytes:
        try:
            return self._unseal(sealed)
        except CryptoError as error:
            raise StoreError(f"its {field} was sealed by another cluster: update the schedule with it") from error


class _Sealed(AsyncIterator[bytes]):
    """Pieces as they are sealed."""

    def __init__(self, pieces: AsyncIterator[bytes], sealer: sealing.Sealer) -> None:
        self._pieces = pieces
        self._sealer: sealing.Sealer | None = sealer

    async def __anext__(self) -> bytes:
        if self._sealer is None:
            raise StopAsyncIteration
        try:
            piece = await self._pieces.__anext__()
        except StopAsyncIteration:
            sealer, self._sealer = self._sealer, None
            return sealer.finish()
        return await trio.to_thread.run_sync(self._sealer.seal, piece)


@asynccontextmanager
async def _opened(pieces: AsyncIterator[bytes], passphrase: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
    """The plain pieces of sealed ones."""
    source = cast(IO[bytes], Pull(pieces))

    def begun() -> None:
        if source.read(len(sealing.MAGIC)) != sealing.MAGIC:
            raise ArchiveRefused("it does not begin as what is sealed does")

    await trio.to_thread.run_sync(begun)
    plain = sealing.opened(source, passphrase)

    async def each() -> AsyncIterator[bytes]:
        try:
            while piece := await trio.to_thread.run_sync(next, plain, b""):
                yield piece
        except sealing.SealBroken as error:
            raise ArchiveRefused(str(error)) from error

    yield each()
