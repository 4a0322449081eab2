"""The data of this node's local volumes: usage, backup, restore, copies."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar, cast

import trio

from runtime import labels
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError
from runtime.volumes.archive import ArchiveError, Compression, Contents, contents, read_archive, write_archive
from runtime.volumes.cleaner import VolumeCleaner
from runtime.volumes.directories import copy_contents, replace_contents
from runtime.volumes.errors import (
    ArchiveRefused,
    VolumeBusy,
    VolumeError,
    VolumeNotHere,
    VolumeStorageFull,
    VolumeUnreachable,
    VolumeUnsupported,
)
from runtime.volumes.provider import VolumeProvider

T = TypeVar("T")
_QUEUED_PIECES = 4
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class VolumeData:
    """Everything here raises VolumeErrors and nothing else on purpose."""

    def __init__(
        self, engine: Engine, provider: VolumeProvider, cleaner: VolumeCleaner, *, cluster_id: str, node_id: str
    ) -> None:
        self._engine = engine
        self._provider = provider
        self._cleaner = cleaner
        self._own = labels.own_labels(cluster_id, node_id)
        self._node_id = node_id
        self._changing: set[str] = set()

    async def usage(self, name: str) -> Contents:
        directory = await self._directory(name)
        with _disk_errors(name):
            return await trio.to_thread.run_sync(contents, directory)

    @asynccontextmanager
    async def backup(self, name: str, compression: Compression) -> AsyncIterator[AsyncIterator[bytes]]:
        """Pieces of an archive of the volume as it is now. The iterator raises where it breaks off."""
        directory = await self._directory(name)
        with self._alone(name):
            pieces = _Pieces(name, directory, compression)
            failure: Exception | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pieces.make)
                try:
                    yield pieces
                except Exception as error:
                    # Raised below: the nursery would put it into a group, which no caller looks for.
                    failure = error
                nursery.cancel_scope.cancel()
            if failure is not None:
                raise failure

    async def restore(self, name: str, pieces: AsyncIterator[bytes]) -> Contents:
        """Put what an archive holds in the place of all that the volume has; or leave it as it was."""
        async with self._arriving(name):
            directory = await self._made(name)
            with _disk_errors(name):
                read = cast(IO[bytes], Pull(pieces))
                fill = partial(read_archive, read=read)
                return await trio.to_thread.run_sync(replace_contents, directory, fill, abandon_on_cancel=False)

    async def copy(self, source: str, name: str) -> Contents:
        """Make `name` a copy of `source`, both on this node."""
        origin = await self._directory(source)
        async with self._arriving(name, source):
            directory = await self._made(name)
            with _disk_errors(name):
                await trio.to_thread.run_sync(replace_contents, directory, partial(copy_contents, origin))
                return await trio.to_thread.run_sync(contents, directory)

    async def _directory(self, name: str) -> Path:
        try:
            volumes = await self._engine.list_volumes({**self._own, labels.VOLUME: name})
        except EngineError as error:
            raise VolumeUnreachable(f"the container engine of {self._node_id} does not answer: {error}") from error
        if not volumes:
            raise VolumeNotHere(f"volume {name!r} has no data on node {self._node_id}")
        return self._readable(name, volumes[0].path)

    async def _made(self, name: str) -> Path:
        try:
            volume = await self._provider.engine_volume(name)
        except EngineError as error:
            raise VolumeUnreachable(f"volume {name!r} cannot be made on node {self._node_id}: {error}") from error
        return self._readable(name, volume.path)

    def _readable(self, name: str, path: str) -> Path:
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise VolumeUnsupported(
                f"the files of volume {name!r} ({path}) cannot be reached by the daemon on {self._node_id}:"
                " it must run as root, on the engine's own machine"
            )
        return Path(path)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        if name in self._changing:
            raise VolumeBusy(f"volume {name!r} is being copied, restored or backed up")
        self._changing.add(name)
        try:
            yield
        finally:
            self._changing.discard(name)

    @asynccontextmanager
    async def _arriving(self, name: str, *sources: str) -> AsyncIterator[None]:
        uses = self._provider.uses
        with ExitStack() as stack:
            for each in (*sources, name):
                stack.enter_context(self._alone(each))
            stack.enter_context(uses.replacing(name))
            await uses.refuse_users(name)
            self._cleaner.spared.add(name)
            try:
                yield
            except BaseException:
                self._cleaner.spared.discard(name)
                raise

    def arrived(self, name: str) -> None:
        """The cluster knows of it, or has given it up: from now on the state decides whether it stays here."""
        self._cleaner.spared.discard(name)


class _Pieces(AsyncIterator[bytes]):
    """The pieces of an archive, made in a worker thread as they are asked for."""

    def __init__(self, name: str, directory: Path, compression: Compression) -> None:
        self._name = name
        self._directory = directory
        self._compression = compression
        self._send, self._receive = trio.open_memory_channel[bytes](_QUEUED_PIECES)
        self._failure: VolumeError | None = None

    async def make(self) -> None:
        def write(piece: bytes) -> None:
            trio.from_thread.run(self._send.send, piece)

        async with self._send:
            try:
                with _disk_errors(self._name):
                    await trio.to_thread.run_sync(write_archive, self._directory, write, self._compression)
            except VolumeError as error:
                self._failure = error

    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._failure is not None:
                raise self._failure from None
            raise StopAsyncIteration from None


class Pull:
    """What a worker thread reads of pieces that come in the event loop."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        while not self._ahead and not self._ended:
            try:
                self._ahead = trio.from_thread.run(self._pieces.__anext__)
            except StopAsyncIteration:
                self._ended = True
        data, self._ahead = (self._ahead, b"") if size < 0 else (self._ahead[:size], self._ahead[size:])
        return data


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        raise ArchiveRefused(f"volume {name!r}: {error}") from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise VolumeStorageFull(f"no room on disk for volume {name!r}") from error
        raise VolumeError(f"volume {name!r}: {error}") from error
