"""The log on disk: records with checksums, appended, cut, and compacted; damage told apart from a torn tail.

File: `magic (8) | generation (8) | crc32 (4)`, then records
`magic (4) | length (4) | crc32 (4) | index (8) | term (8) | synced (8) | payload`.

`synced` is the length of the file that was durable before this record was written. So a valid record proves that
everything below its `synced` was once whole: a bad record below that is damage, a bad record above it is the torn
tail of a write that nobody had been promised. A side file (`.mark`) holds the length after the last fdatasync; it is
written, never synced itself, and so tells also of damage in the last batch in all but a power cut.

All methods block and are called by one thread at a time; `open_journal` is the door.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from .durable_file import replace_durably
from .errors import StorageDamaged

_log = structlog.get_logger()
_HEADER = struct.Struct("<8sQI")
_RECORD = struct.Struct("<4sIIQQQ")
_COVERED = struct.Struct("<IQQQ")
_MARK = struct.Struct("<QQI")
_MAGIC = b"HMJRNAL1"
_RECORD_MAGIC = b"\xf5HMr"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log. PySyncObj has tuples of these three, so it can be indexed and unpacked as one.

    Not known to the garbage collector, because tens of thousands of them live long: walking them held the loop for
    47 ms at 20,000 writes a second.
    """

    command: bytes
    index: int
    term: int

    def __getitem__(self, position: int) -> bytes | int:
        return (self.command, self.index, self.term)[position]

    def __iter__(self) -> Iterator[bytes | int]:
        return iter((self.command, self.index, self.term))


def _record(entry: Entry, synced: int) -> bytes:
    checksum = zlib.crc32(_COVERED.pack(len(entry.command), entry.index, entry.term, synced))
    checksum = zlib.crc32(entry.command, checksum)
    head = _RECORD.pack(_RECORD_MAGIC, len(entry.command), checksum, entry.index, entry.term, synced)
    return head + entry.command


def _read_record(data: bytes, offset: int) -> tuple[Entry, int, int] | None:
    """The entry at `offset`, its `synced` and its end; None if there is no whole one."""
    if offset + _RECORD.size > len(data):
        return None
    magic, length, checksum, index, term, synced = _RECORD.unpack_from(data, offset)
    end = offset + _RECORD.size + length
    if magic != _RECORD_MAGIC or end > len(data):
        return None
    command = data[offset + _RECORD.size : end]
    if zlib.crc32(command, zlib.crc32(_COVERED.pack(length, index, term, synced))) != checksum:
        return None
    return Entry(command, index, term), synced, end


def _header(generation: int) -> bytes:
    return _HEADER.pack(_MAGIC, generation, zlib.crc32(struct.pack("<Q", generation)))


class JournalFile:
    """An open journal: where its records are, and how much of it is durable."""

    def __init__(self, path: Path, generation: int, ends: list[int], length: int) -> None:
        self._path = path
        self._generation = generation
        self._ends = ends
        self._length = length
        self._synced = length
        self._descriptor = os.open(path, os.O_RDWR)
        self._mark = os.open(mark_path(path), os.O_RDWR | os.O_CREAT, 0o600)
        self.syncs = 0

    @property
    def length_bytes(self) -> int:
        return self._length

    def append(self, entries: Sequence[Entry]) -> None:
        """Write records at the end; durable after `sync`. May be repeated whole after an OSError."""
        records = [_record(entry, self._synced) for entry in entries]
        data = b"".join(records)
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, memoryview(data)[written:], self._length + written)
        for record in records:
            self._length += len(record)
            self._ends.append(self._length)

    def sync(self) -> None:
        """Make all that was appended durable."""
        if self._synced != self._length:
            os.fdatasync(self._descriptor)
            self._synced = self._length
            self._write_mark()
            self.syncs += 1

    def sync_all(self) -> None:
        """After opening: what a killed process left in the page cache is durable only now."""
        os.fdatasync(self._descriptor)
        self._write_mark()

    def truncate(self, count: int) -> None:
        """Keep the first `count` records, durably: later appends must never stand before an older tail."""
        length = self._ends[count - 1] if count else _HEADER.size
        self._synced = min(self._synced, length)
        self._write_mark()
        os.fdatasync(self._mark)
        os.ftruncate(self._descriptor, length)
        os.fsync(self._descriptor)
        del self._ends[count:]
        self._length = self._synced = length

    def rewrite(self, entries: Sequence[Entry]) -> None:
        """Replace the whole content, atomically and durably (compaction)."""
        generation = self._generation + 1
        parts = [_header(generation)]
        length, ends = _HEADER.size, []
        for entry in entries:
            # Each record vouches for those before it: a rewritten file is durable as a whole.
            parts.append(_record(entry, length))
            length += len(parts[-1])
            ends.append(length)
        replace_durably(self._path, parts)
        os.close(self._descriptor)
        self._descriptor = os.open(self._path, os.O_RDWR)
        self._generation, self._ends = generation, ends
        self._length = self._synced = length
        self._write_mark()

    def close(self) -> None:
        os.close(self._descriptor)
        os.close(self._mark)

    def _write_mark(self) -> None:
        body = struct.pack("<QQ", self._generation, self._synced)
        os.pwrite(self._mark, body + struct.pack("<I", zlib.crc32(body)), 0)


def mark_path(path: Path) -> Path:
    """The side file of the journal at `path`."""
    return path.with_name(path.name + ".mark")


def create_journal(path: Path, entries: Sequence[Entry]) -> None:
    """Write a first journal, durably."""
    parts, length = [_header(1)], _HEADER.size
    for entry in entries:
        parts.append(_record(entry, length))
        length += len(parts[-1])
    replace_durably(path, parts)


def open_journal(path: Path) -> tuple[JournalFile, list[Entry]]:
    """Open a journal and read its entries. A torn tail is cut off with a warning.

    Raises:
        StorageDamaged: missing, or damaged in a place that was durable.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StorageDamaged(path, "the journal is missing") from None
    generation = _check_header(path, data)
    entries: list[Entry] = []
    ends: list[int] = []
    end = _HEADER.size
    while (found := _read_record(data, end)) is not None:
        entry, _, next_end = found
        if entries and entry.index != entries[-1].index + 1:
            raise StorageDamaged(path, f"entry {entry.index} follows entry {entries[-1].index}")
        entries.append(entry)
        ends.append(next_end)
        end = next_end
    if end < _proven_length(path, data, generation, end):
        raise StorageDamaged(path, f"the record at byte {end} is damaged, and was whole before")
    if not entries:
        raise StorageDamaged(path, "it holds no whole record")
    if end < len(data):
        _log.warning("journal_tail_cut", path=str(path), at_bytes=end, cut_bytes=len(data) - end)
        _cut(path, end)
    file = JournalFile(path, generation, ends, end)
    file.sync_all()
    return file, entries


def _check_header(path: Path, data: bytes) -> int:
    if len(data) < _HEADER.size:
        raise StorageDamaged(path, f"the file is cut off ({len(data)} bytes)")
    magic, generation, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(struct.pack("<Q", generation)) != checksum:
        raise StorageDamaged(path, "its header is damaged")
    return int(generation)


def _proven_length(path: Path, data: bytes, generation: int, bad: int) -> int:
    """How long the durable part once was, by the mark and by whole records after the first bad one."""
    proven = _read_mark(path, generation)
    at = data.find(_RECORD_MAGIC, bad + 1)
    while at != -1:
        if (found := _read_record(data, at)) is not None:
            proven = max(proven, found[1])
        at = data.find(_RECORD_MAGIC, at + 1)
    return proven


def _read_mark(path: Path, generation: int) -> int:
    try:
        data = mark_path(path).read_bytes()
    except FileNotFoundError:
        return 0
    if len(data) != _MARK.size or zlib.crc32(data[:16]) != _MARK.unpack(data)[2]:
        return 0
    marked_generation, length, _ = _MARK.unpack(data)
    return int(length) if marked_generation == generation else 0


def _cut(path: Path, length: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
