"""One segment of the log on disk: a header, then records.

Header: `magic (8) | number (8) | first index (8) | begins anew (8) | crc32 (4)`. Segments are numbered in the order of
their entries; one that begins anew takes the place of all with lower numbers. Only the last one is ever written to.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .durable_file import replace_durably
from .errors import StorageDamaged
from .record import Entry, encode_record, proven_length, read_records

_HEADER = struct.Struct("<8sQQQI")
_MAGIC = b"HMSEGMT1"
_SUFFIX = ".segment"
HEADER_BYTES = _HEADER.size


class Segment(msgspec.Struct):
    """What is known of one: `ends` are the offsets at which its records end."""

    number: int
    first_index: int
    anew: bool
    ends: list[int]

    @property
    def last_index(self) -> int:
        """One before `first_index` while it has no record."""
        return self.first_index + len(self.ends) - 1

    @property
    def length(self) -> int:
        return self.ends[-1] if self.ends else HEADER_BYTES

    def length_up_to(self, index: int) -> int:
        """Where the record of the entry `index` ends."""
        return self.ends[index - self.first_index]


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}{_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """Those in the folder, in order; other files in there are nobody's business."""
    stems = (path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def create_segment(folder: Path, number: int, entries: Sequence[Entry], *, first_index: int, anew: bool) -> Segment:
    """Write one durably, in the place of one of that number, if there is."""
    segment = Segment(number, first_index, anew, [])
    body = _MAGIC, number, first_index, anew
    parts = [_HEADER.pack(*body, _checksum(number, first_index, anew))]
    for entry in entries:
        # Each record vouches for those before it: the file becomes durable as a whole.
        parts.append(encode_record(entry, segment.length))
        segment.ends.append(segment.length + len(parts[-1]))
    replace_durably(segment_path(folder, number), parts)
    return segment


def read_header(folder: Path, number: int) -> Segment:
    """The segment without its records. Raises StorageDamaged."""
    with open(segment_path(folder, number), "rb") as file:
        return _decode_header(folder, number, file.read(HEADER_BYTES))


def read_sealed_segment(folder: Path, number: int) -> tuple[Segment, list[Entry]]:
    """One that another follows: it was whole before that was made.

    Raises:
        StorageDamaged: it is not.
    """
    path = segment_path(folder, number)
    data = path.read_bytes()
    segment, entries = _read(folder, number, data)
    if segment.length != len(data):
        raise _damaged(folder, number, segment.length)
    return segment, entries


def read_last_segment(folder: Path, number: int, marked_length: int) -> tuple[Segment, list[Entry], int]:
    """The last one, which may have a torn tail, and its length with that.

    `marked_length` is how much of it was durable as far as the mark tells.

    Raises:
        StorageDamaged: it is damaged in a place that was durable.
    """
    data = segment_path(folder, number).read_bytes()
    segment, entries = _read(folder, number, data)
    if segment.length < max(marked_length, proven_length(data, segment.length)):
        raise _damaged(folder, number, segment.length)
    return segment, entries, len(data)


def cut_segment(descriptor: int, length: int) -> None:
    """Durably drop what is behind `length`."""
    os.ftruncate(descriptor, length)
    os.fsync(descriptor)


def _read(folder: Path, number: int, data: bytes) -> tuple[Segment, list[Entry]]:
    segment = _decode_header(folder, number, data[:HEADER_BYTES])
    entries, segment.ends = read_records(data, HEADER_BYTES)
    for expected, entry in enumerate(entries, segment.first_index):
        if entry.index != expected:
            raise StorageDamaged(
                segment_path(folder, number), f"it has entry {entry.index} in the place of {expected}", folder.parent
            )
    return segment, entries


def _decode_header(folder: Path, number: int, data: bytes) -> Segment:
    path = segment_path(folder, number)
    if len(data) < HEADER_BYTES:
        raise StorageDamaged(path, f"the file is cut off ({len(data)} bytes)", folder.parent)
    magic, told_number, first_index, anew, checksum = _HEADER.unpack(data)
    if magic != _MAGIC or _checksum(told_number, first_index, anew) != checksum:
        raise StorageDamaged(path, "its header is damaged", folder.parent)
    if told_number != number:
        raise StorageDamaged(path, f"it is segment {told_number} by its header", folder.parent)
    return Segment(number, first_index, bool(anew), [])


def _checksum(number: int, first_index: int, anew: bool) -> int:
    return zlib.crc32(struct.pack("<QQQ", number, first_index, anew))


def _damaged(folder: Path, number: int, at: int) -> StorageDamaged:
    what = f"the record at byte {at} is damaged, and was whole before"
    return StorageDamaged(segment_path(folder, number), what, folder.parent)
