"""The data of any node's volumes, from any node: straight here, over the peer channel elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from runtime.framing import FrameError, FrameReader, send_frame
from runtime.gateway import Answer
from runtime.peers import PeerCalls, PeerFailures, PeerStream
from runtime.volumes.archive import Compression, Contents
from runtime.volumes.backup_store import Stored
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.data import VolumeData
from runtime.volumes.errors import VolumeError, VolumeUnreachable, error_of

USAGE_SERVICE = "volume.usage"
COPY_SERVICE = "volume.copy"
FETCH_SERVICE = "volume.fetch"
ARRIVED_SERVICE = "volume.arrived"
BACKUP_SERVICE = "volume.backup"
RESTORE_SERVICE = "volume.restore"
STORED_SERVICE = "volume.stored"
RESTORE_STORED_SERVICE = "volume.restore_stored"
USAGE_TIMEOUT_S = 60.0
COPY_TIMEOUT_S = 3600.0


class Piece(Struct, frozen=True, omit_defaults=True):
    """Of an archive on its way; only with `end` it is whole. `problem` is why it breaks off."""

    data: bytes = b""
    end: bool = False
    problem: str = ""


class BackupRequest(Struct, frozen=True):
    name: str
    compression: Compression


class CopyRequest(Struct, frozen=True):
    source: str
    name: str


class FetchRequest(Struct, frozen=True):
    """Bring the volume's data here from `node_id`."""

    name: str
    node_id: str


class RestoreStoredRequest(Struct, frozen=True):
    """Put `backup` of `schedule` in the place of all that `volume` has."""

    schedule: str
    backup: str
    volume: str


class Fetching(Protocol):
    async def fetch(self, name: str, node_id: str) -> Contents: ...


class VolumeGateway:
    """All methods raise VolumeErrors and nothing else on purpose."""

    def __init__(
        self,
        *,
        node_id: str,
        local: VolumeData,
        backups: VolumeBackups,
        peers: PeerCalls,
        peer_failures: PeerFailures,
    ) -> None:
        self._node_id = node_id
        self._local = local
        self._backups = backups
        self._peers = peers
        self._peer_failures = peer_failures

    async def usage(self, node_id: str, name: str) -> Contents:
        if node_id == self._node_id:
            return await self._local.usage(name)
        return msgspec.convert(await self._ask(node_id, USAGE_SERVICE, name, USAGE_TIMEOUT_S), Contents)

    async def copy(self, node_id: str, source: str, name: str) -> Contents:
        """`name` becomes a copy of `source` on the same node; `arrived` must follow."""
        if node_id == self._node_id:
            return await self._local.copy(source, name)
        request = msgspec.to_builtins(CopyRequest(source, name))
        return msgspec.convert(await self._ask(node_id, COPY_SERVICE, request, COPY_TIMEOUT_S), Contents)

    async def move(self, name: str, *, source: str, target: str) -> Contents:
        """The data of a volume is on `target`, too; `arrived` must follow."""
        if target == self._node_id:
            return await self.fetch(name, source)
        request = msgspec.to_builtins(FetchRequest(name, source))
        return msgspec.convert(await self._ask(target, FETCH_SERVICE, request, COPY_TIMEOUT_S), Contents)

    async def fetch(self, name: str, node_id: str) -> Contents:
        async with self.backup(node_id, name, "zstd") as pieces:
            return await self._local.restore(name, pieces)

    async def arrived(self, node_id: str, name: str) -> None:
        """The cluster knows now whether the data is to stay there. A node that does not hear it keeps it till later."""
        if node_id == self._node_id:
            self._local.arrived(name)
        else:
            await self._ask(node_id, ARRIVED_SERVICE, name, USAGE_TIMEOUT_S)

    @asynccontextmanager
    async def backup(self, node_id: str, name: str, compression: Compression) -> AsyncIterator[AsyncIterator[bytes]]:
        """Pieces of an archive; the iterator raises where it breaks off."""
        if node_id == self._node_id:
            async with self._local.backup(name, compression) as pieces:
                yield pieces
            return
        request = msgspec.to_builtins(BackupRequest(name, compression))
        try:
            async with self._peers.open_stream(node_id, BACKUP_SERVICE, request) as stream:
                frames = FrameReader(stream)
                await _answer(node_id, frames)
                yield _Pieces(node_id, frames, self._peer_failures)
        except self._peer_failures as error:
            raise _unreachable(node_id, error) from error

    async def restore(self, node_id: str, name: str, pieces: AsyncIterator[bytes]) -> Contents:
        """Replaces what the volume has, once all of `pieces` was read; `arrived` must follow."""
        if node_id == self._node_id:
            return await self._local.restore(name, pieces)
        try:
            async with self._peers.open_stream(node_id, RESTORE_SERVICE, name) as stream:
                await _send_while_wanted(stream, pieces, self._peer_failures)
                return msgspec.convert(await _answer(node_id, FrameReader(stream)), Contents)
        except self._peer_failures as error:
            raise _unreachable(node_id, error) from error

    async def stored(self, node_id: str, schedule: str) -> list[Stored]:
        """The backups of a schedule that there are, the newest first."""
        if node_id == self._node_id:
            return await self._backups.stored(schedule)
        return msgspec.convert(await self._ask(node_id, STORED_SERVICE, schedule, USAGE_TIMEOUT_S), list[Stored])

    async def restore_stored(self, node_id: str, schedule: str, backup: str, volume: str) -> Contents:
        """As `restore`, from a scheduled backup, which the node reads itself; `arrived` must follow."""
        if node_id == self._node_id:
            return await self._backups.restore(schedule, backup, volume)
        request = msgspec.to_builtins(RestoreStoredRequest(schedule, backup, volume))
        return msgspec.convert(await self._ask(node_id, RESTORE_STORED_SERVICE, request, COPY_TIMEOUT_S), Contents)

    async def _ask(self, node_id: str, service: str, body: Any, timeout_s: float) -> Any:
        try:
            answer = msgspec.convert(await self._peers.call(node_id, service, body, timeout_s=timeout_s), Answer)
        except self._peer_failures as error:
            raise _unreachable(node_id, error) from error
        except msgspec.ValidationError as error:
            raise VolumeError(f"node {node_id} answered with rubbish: {error}") from error
        return _value(answer)


async def send_pieces(stream: PeerStream, pieces: AsyncIterator[bytes]) -> None:
    """All pieces as frames, and their end. Raises what either side raises."""
    async for piece in pieces:
        await send_frame(stream, Piece(piece))
    await send_frame(stream, Piece(end=True))


async def next_piece(frames: FrameReader) -> bytes:
    """Raises StopAsyncIteration at the end, and FrameError where it breaks off before."""
    data = await frames.next()
    if data is None:
        raise FrameError("the archive breaks off")
    piece = msgspec.msgpack.decode(data, type=Piece)
    if piece.problem:
        raise FrameError(piece.problem)
    if piece.end:
        raise StopAsyncIteration
    return piece.data


class _Pieces(AsyncIterator[bytes]):
    """The pieces of another node's archive."""

    def __init__(self, node_id: str, frames: FrameReader, peer_failures: PeerFailures) -> None:
        self._node_id = node_id
        self._frames = frames
        self._peer_failures = peer_failures

    async def __anext__(self) -> bytes:
        try:
            return await next_piece(self._frames)
        except self._peer_failures as error:
            raise _unreachable(self._node_id, error) from error
        except (FrameError, msgspec.MsgspecError) as error:
            raise VolumeError(f"node {self._node_id} sent no whole archive: {error}") from error


async def _send_while_wanted(stream: PeerStream, pieces: AsyncIterator[bytes], peer_failures: PeerFailures) -> None:
    try:
        await send_pieces(stream, pieces)
        await stream.send_eof()
    except peer_failures:
        # It may have refused already: its answer says why, and where there is none, reading it says that.
        return


async def _answer(node_id: str, frames: FrameReader) -> Any:
    try:
        data = await frames.next()
        if data is None:
            raise VolumeUnreachable(f"node {node_id} ended the transfer without an answer")
        answer = msgspec.msgpack.decode(data, type=Answer)
    except (FrameError, msgspec.MsgspecError) as error:
        raise VolumeError(f"node {node_id} answered with rubbish: {error}") from error
    return _value(answer)


def _value(answer: Answer) -> Any:
    if answer.error:
        raise error_of(answer.error, answer.message)
    return answer.value


def _unreachable(node_id: str, error: Exception) -> VolumeUnreachable:
    return VolumeUnreachable(f"node {node_id} does not answer: {error}")
