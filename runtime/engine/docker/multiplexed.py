"""Docker's stream of stdout and stderr in one connection, as a parser without I/O.

Each frame is a header of 8 bytes (stream number, three zero bytes, payload length as a big-endian uint32)
and its payload. Source: Engine API, "Attach to a container", stream format.
"""

from __future__ import annotations

from msgspec import Struct

_HEADER_BYTES = 8
_MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The engine writes log frames of at most 16 KiB and attach frames of 32 KiB; more is not a frame."""


class Message(Struct, frozen=True):
    """`stream`: 0 stdin, 1 stdout, 2 stderr."""

    stream: int
    data: bytes


class FrameError(ValueError):
    """The bytes are not a multiplexed stream (a tty's output is not framed)."""


class FrameParser:
    """Bytes in pieces of any size in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The frames that `data` completes. FrameError."""
        self._buffer += data
        messages: list[Message] = []
        start = 0
        while len(self._buffer) - start >= _HEADER_BYTES:
            header = self._buffer[start : start + _HEADER_BYTES]
            length = int.from_bytes(header[4:], "big")
            if header[0] > 2 or any(header[1:4]) or length > _MAX_PAYLOAD_BYTES:
                raise FrameError(f"not a frame header: {bytes(header)!r}")
            end = start + _HEADER_BYTES + length
            if len(self._buffer) < end:
                break
            messages.append(Message(header[0], bytes(self._buffer[start + _HEADER_BYTES : end])))
            start = end
        del self._buffer[:start]
        return messages

    @property
    def pending(self) -> bool:
        """True in the middle of a frame: the stream must not end here."""
        return bool(self._buffer)


class LineParser:
    """Bytes in, whole lines out, without their line ends; a longer line than `max_bytes` comes in pieces."""

    def __init__(self, max_bytes: int = 4 * 1024 * 1024) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n") if b"\n" in data else (bytes(self._buffer),)
        while len(rest) > self._max_bytes:
            lines.append(rest[: self._max_bytes])
            rest = rest[self._max_bytes :]
        if lines:
            self._buffer = bytearray(rest)
        return [line.removesuffix(b"\r") for line in lines]

    def close(self) -> list[bytes]:
        """The last line, if it had no line end."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [rest] if rest else []
