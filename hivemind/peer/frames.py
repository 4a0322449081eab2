"""Frames: a 4-byte big-endian length, then that many bytes of msgpack. Pure."""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """The bytes that arrived are not frames of ours. The connection cannot go on."""


def pack_frame(payload: bytes) -> bytes:
    """One frame around the payload."""
    return _LENGTH.pack(len(payload)) + payload


class FrameDecoder:
    """Bytes in, payloads out. Buffers at most one frame and the chunk that was fed."""

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """How much of an unfinished frame is held."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take bytes in and return the payloads that are complete now.

        Raises:
            FrameError: a frame announces more than the limit, or nothing at all.
        """
        self._buffer += data
        payloads: list[bytes] = []
        position = 0
        available = len(self._buffer)
        with memoryview(self._buffer) as view:
            while available - position >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(view, position)
                if not 0 < length <= self.max_frame_bytes:
                    raise FrameError(f"a frame of {length} bytes; allowed are 1 to {self.max_frame_bytes}")
                end = position + _LENGTH.size + length
                if end > available:
                    break
                payloads.append(bytes(view[position + _LENGTH.size : end]))
                position = end
        if position:
            del self._buffer[:position]
        return payloads
