"""Values in a stream of bytes between two nodes: msgpack, each with its length before it."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.peers import PeerStream

MAX_FRAME_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 4


class FrameError(Exception):
    """What came is not a row of frames."""


async def send_frame(stream: PeerStream, value: Any) -> None:
    data = msgspec.msgpack.encode(value)
    await stream.send(len(data).to_bytes(_LENGTH_BYTES, "big") + data)


class FrameReader:
    """Reads what `send_frame` sent."""

    def __init__(self, stream: PeerStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """The next encoded value; None at the end. Raises FrameError, and what the stream raises."""
        if not await self._fill(_LENGTH_BYTES):
            return None
        size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if size > MAX_FRAME_BYTES:
            raise FrameError(f"a frame of {size} bytes; at most {MAX_FRAME_BYTES} are allowed")
        if not await self._fill(_LENGTH_BYTES + size):
            raise FrameError("the stream ended within a frame")
        data = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + size])
        del self._buffer[: _LENGTH_BYTES + size]
        return data

    async def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            data = await self._stream.receive()
            if not data:
                if self._buffer:
                    raise FrameError("the stream ended within a frame")
                return False
            self._buffer += data
        return True
