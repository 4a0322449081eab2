"""Frames that wait for their connection's one writer, bounded by count and bytes."""

from __future__ import annotations

from collections import deque

import trio


class Outbox:
    """A queue of frames. ``offer`` never blocks; ``put`` waits for room; ``take`` gives a batch."""

    def __init__(self, *, max_frames: int, max_bytes: int, batch_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._batch_bytes = batch_bytes
        self._frames: deque[bytes] = deque()
        self._filled = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._closed = False
        self.queued_bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def offer(self, frame: bytes) -> bool:
        """Queue the frame, or return False because there is no room. An empty queue has room for any."""
        if self._frames and (len(self._frames) >= self._max_frames or self.queued_bytes + len(frame) > self._max_bytes):
            return False
        self._frames.append(frame)
        self.queued_bytes += len(frame)
        self._filled.unpark()
        return True

    async def put(self, frame: bytes) -> None:
        """Queue the frame as soon as there is room; returns without having done so once it is closed."""
        while not self._closed and not self.offer(frame):
            await self._drained.park()

    def close(self) -> None:
        """There is no writer any more: nobody shall wait for room."""
        self._closed = True
        self._drained.unpark_all()

    async def take(self) -> bytes:
        """Wait for frames and return as many as fit in one batch, joined (at least one)."""
        while not self._frames:
            await self._filled.park()
        batch = [self._frames.popleft()]
        size = len(batch[0])
        while self._frames and size + len(self._frames[0]) <= self._batch_bytes:
            frame = self._frames.popleft()
            batch.append(frame)
            size += len(frame)
        self.queued_bytes -= size
        self._drained.unpark_all()
        return b"".join(batch)
