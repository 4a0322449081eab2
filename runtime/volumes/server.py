"""This node's end of other nodes' work on its volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any

import msgspec

from runtime.framing import FrameError, FrameReader, send_frame
from runtime.gateway import Answer
from runtime.peers import PeerFailures, PeerServices, PeerStream
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.data import VolumeData
from runtime.volumes.errors import ArchiveRefused, VolumeError
from runtime.volumes.gateway import (
    ARRIVED_SERVICE,
    BACKUP_SERVICE,
    COPY_SERVICE,
    FETCH_SERVICE,
    RESTORE_SERVICE,
    RESTORE_STORED_SERVICE,
    STORED_SERVICE,
    USAGE_SERVICE,
    BackupRequest,
    CopyRequest,
    Fetching,
    FetchRequest,
    Piece,
    RestoreStoredRequest,
    next_piece,
    send_pieces,
)


class VolumeServer:
    """Answers other nodes' VolumeGateways."""

    def __init__(
        self, local: VolumeData, backups: VolumeBackups, gateway: Fetching, *, peer_failures: PeerFailures
    ) -> None:
        self._local = local
        self._backups = backups
        self._gateway = gateway
        self._peer_failures = peer_failures

    def serve(self, services: PeerServices) -> None:
        services.serve(USAGE_SERVICE, self._usage)
        services.serve(COPY_SERVICE, self._copy)
        services.serve(FETCH_SERVICE, self._fetch)
        services.serve(ARRIVED_SERVICE, self._arrived)
        services.serve(STORED_SERVICE, self._stored)
        services.serve(RESTORE_STORED_SERVICE, self._restore_stored)
        services.serve_stream(BACKUP_SERVICE, self._backup)
        services.serve_stream(RESTORE_SERVICE, self._restore)

    async def _usage(self, peer: str, body: Any) -> Any:
        return await _answered(self._local.usage(str(body)))

    async def _copy(self, peer: str, body: Any) -> Any:
        request = msgspec.convert(body, CopyRequest)
        return await _answered(self._local.copy(request.source, request.name))

    async def _fetch(self, peer: str, body: Any) -> Any:
        request = msgspec.convert(body, FetchRequest)
        return await _answered(self._gateway.fetch(request.name, request.node_id))

    async def _arrived(self, peer: str, body: Any) -> Any:
        self._local.arrived(str(body))
        return _done(None)

    async def _stored(self, peer: str, body: Any) -> Any:
        return await _answered(self._backups.stored(str(body)))

    async def _restore_stored(self, peer: str, body: Any) -> Any:
        request = msgspec.convert(body, RestoreStoredRequest)
        return await _answered(self._backups.restore(request.schedule, request.backup, request.volume))

    async def _backup(self, peer: str, body: Any, stream: PeerStream) -> None:
        begun = False
        # The reader going away is how a backup that nobody wants ends.
        with suppress(*self._peer_failures):
            try:
                request = msgspec.convert(body, BackupRequest)
                async with self._local.backup(request.name, request.compression) as pieces:
                    await send_frame(stream, _done(None))
                    begun = True
                    await send_pieces(stream, pieces)
            except VolumeError as error:
                await send_frame(stream, Piece(problem=str(error)) if begun else _failed(error))

    async def _restore(self, peer: str, body: Any, stream: PeerStream) -> None:
        pieces = _Received(FrameReader(stream), self._peer_failures)
        answer = await _answered(self._local.restore(str(body), pieces))
        with suppress(*self._peer_failures):
            await send_frame(stream, answer)


class _Received(AsyncIterator[bytes]):
    """The pieces of an archive that another node sends."""

    def __init__(self, frames: FrameReader, peer_failures: PeerFailures) -> None:
        self._frames = frames
        self._broken: PeerFailures = (FrameError, msgspec.MsgspecError, *peer_failures)

    async def __anext__(self) -> bytes:
        try:
            return await next_piece(self._frames)
        except self._broken as error:
            raise ArchiveRefused(f"the archive did not arrive whole: {error}") from error


async def _answered(work: Awaitable[Any]) -> Any:
    try:
        return _done(await work)
    except VolumeError as error:
        return _failed(error)


def _done(value: Any) -> Any:
    return msgspec.to_builtins(Answer(value=msgspec.to_builtins(value)))


def _failed(error: VolumeError) -> Any:
    return msgspec.to_builtins(Answer(error=error.code, message=str(error)))
