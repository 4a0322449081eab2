"""The API's VolumeGateway in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from api.volume_gateway import StoredBackup, VolumeContents, VolumeMissing


class FakeVolumes:
    """What is where: the data of volumes by node and name, and backups by schedule and name."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], bytes] = {}
        self.backups: dict[str, dict[str, bytes]] = {}
        self.arrivals: list[tuple[str, str]] = []
        self.fault: Exception | None = None
        self.most_waiting = 0

    def _get(self, node_id: str, name: str) -> bytes:
        if self.fault is not None:
            raise self.fault
        return self.held[node_id, name]

    async def usage(self, node_id: str, name: str) -> VolumeContents:
        return VolumeContents(len(self._get(node_id, name)), 1)

    @asynccontextmanager
    async def backup(self, node_id: str, name: str, compression: str) -> AsyncIterator[AsyncIterator[bytes]]:
        send, receive = trio.open_memory_channel[bytes](10)
        for piece in (compression.encode(), self._get(node_id, name)):
            send.send_nowait(piece)
        send.close()
        yield receive

    async def restore(self, node_id: str, name: str, pieces: AsyncIterator[bytes]) -> VolumeContents:
        data = b""
        async for piece in pieces:
            self.most_waiting = max(self.most_waiting, len(piece))
            data += piece
            await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        self.held[node_id, name] = data
        return VolumeContents(len(data), 1)

    async def copy(self, node_id: str, source: str, name: str) -> VolumeContents:
        self.held[node_id, name] = self._get(node_id, source)
        return VolumeContents(len(self.held[node_id, name]), 1)

    async def move(self, name: str, *, source: str, target: str) -> VolumeContents:
        self.held[target, name] = self._get(source, name)
        return VolumeContents(len(self.held[target, name]), 1)

    async def stored(self, node_id: str, schedule: str) -> list[StoredBackup]:
        if self.fault is not None:
            raise self.fault
        return [StoredBackup(name, len(data)) for name, data in sorted(self.backups.get(schedule, {}).items())[::-1]]

    async def restore_stored(self, node_id: str, schedule: str, backup: str, volume: str) -> VolumeContents:
        data = self.backups[schedule].get(backup)
        if data is None:
            raise VolumeMissing(f"schedule {schedule!r} has no backup {backup!r}")
        self.held[node_id, volume] = data
        return VolumeContents(len(data), 1)

    async def arrived(self, node_id: str, name: str) -> None:
        self.arrivals.append((node_id, name))
