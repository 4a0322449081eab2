"""How much of the log was durable after the last fdatasync, in a small file beside its segments.

It is written after every fdatasync and itself synced only where the log is cut, begins anew or goes on in a new
segment. So it tells of damage in the last batch in all but a power cut, and of a last segment that is missing always,
as the file of the votes does, too.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

_MARK = struct.Struct("<QQI")
_BODY = struct.Struct("<QQ")
NAME = "mark"


class JournalMark:
    """The open file."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, number: int, length: int) -> None:
        """`length` bytes of the segment `number` are durable, and those before it."""
        body = _BODY.pack(number, length)
        os.pwrite(self._descriptor, body + struct.pack("<I", zlib.crc32(body)), 0)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_mark(folder: Path) -> tuple[int, int]:
    """Number of a segment and its durable length; zeros where it is missing or damaged, for then it proves nothing."""
    try:
        data = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return 0, 0
    if len(data) != _MARK.size:
        return 0, 0
    number, length, checksum = _MARK.unpack(data)
    return (number, length) if zlib.crc32(data[: _BODY.size]) == checksum else (0, 0)
