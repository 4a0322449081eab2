"""Backups in a directory of this node, in one of the schedule's below it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

import trio

from consensus import durable
from runtime.volumes.backup_store import Stored, StoreError

_UNFINISHED = ".unfinished"
_PIECE_BYTES = 256 * 1024


class DirectoryStore:
    """Implements BackupStore. `root` must be there, so that nothing is written where a disk is not mounted."""

    def __init__(self, root: str, schedule: str) -> None:
        self._root = Path(root)
        self._folder = self._root / schedule

    async def stored(self) -> list[Stored]:
        with self._told():
            return await trio.to_thread.run_sync(self._stored)

    def _stored(self) -> list[Stored]:
        self._check_root()
        if not self._folder.is_dir():
            return []
        with os.scandir(self._folder) as entries:
            return [
                Stored(entry.name, entry.stat().st_size)
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(_UNFINISHED)
            ]

    async def clear(self) -> None:
        with self._told():
            await trio.to_thread.run_sync(self._clear)

    def _clear(self) -> None:
        self._check_root()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left_over in self._folder.glob(f".*{_UNFINISHED}"):
            left_over.unlink()

    async def write(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        unfinished = self._folder / f".{name}{_UNFINISHED}"
        with self._told():
            try:
                with await trio.to_thread.run_sync(_created, unfinished) as out:
                    async for piece in pieces:
                        await trio.to_thread.run_sync(out.write, piece)
                    size = await trio.to_thread.run_sync(_synced, out)
                unfinished.rename(self._folder / name)
                await trio.to_thread.run_sync(durable.sync_directory, self._folder)
            finally:
                unfinished.unlink(missing_ok=True)
        return size

    async def remove(self, name: str) -> None:
        with self._told():
            await trio.to_thread.run_sync((self._folder / name).unlink)

    @asynccontextmanager
    async def read(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        with self._told():
            file = await trio.to_thread.run_sync((self._folder / name).open, "rb")
        with file:
            yield self._pieces(file)

    async def _pieces(self, file: BinaryIO) -> AsyncIterator[bytes]:
        with self._told():
            while piece := await trio.to_thread.run_sync(file.read, _PIECE_BYTES):
                yield piece

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise StoreError(f"there is no directory {self._root} on the node")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"directory {self._folder}: {error.strerror or error}") from error


def _created(path: Path) -> BinaryIO:
    """Not for everybody on the machine, as what is in the volume is not."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _synced(out: BinaryIO) -> int:
    out.flush()
    os.fsync(out.fileno())
    return out.tell()
