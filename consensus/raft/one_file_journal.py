"""The log as one file, as earlier versions kept it: read once, and written anew as segments.

File `journal`: `magic (8) | generation (8) | crc32 (4)`, then records (record.py). Its mark is `journal.mark`:
`generation (8) | durable length (8) | crc32 (4)`.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import structlog

from ..durable import sync_directory
from .errors import StorageDamaged
from .journal_segments import create_segments
from .record import Entry, proven_length, read_records

_log = structlog.get_logger()
_HEADER = struct.Struct("<8sQI")
_MARK = struct.Struct("<QQI")
_MAGIC = b"HMJRNAL1"


def convert_one_file_journal(data_dir: Path, segments: Path, segment_bytes: int) -> None:
    """Make the folder `segments` of a one-file journal in `data_dir`, if there is one.

    Crash-safe: the folder appears when it is whole, and only then the file goes. A torn tail is left out.

    Raises:
        StorageDamaged: the file is damaged in a place that was durable.
    """
    path = data_dir / "journal"
    if not path.exists():
        return
    if not segments.exists():
        entries = _read(path)
        create_segments(segments, entries, segment_bytes)
        _log.info("journal_converted", path=str(path), entries=len(entries))
    path.unlink()
    _mark_path(path).unlink(missing_ok=True)
    sync_directory(data_dir)


def _read(path: Path) -> list[Entry]:
    data = path.read_bytes()
    generation = _check_header(path, data)
    entries, ends = read_records(data, _HEADER.size)
    end = ends[-1] if ends else _HEADER.size
    for expected, entry in enumerate(entries, entries[0].index if entries else 0):
        if entry.index != expected:
            raise StorageDamaged(path, f"it has entry {entry.index} in the place of {expected}")
    if end < max(_marked_length(path, generation), proven_length(data, end)):
        raise StorageDamaged(path, f"the record at byte {end} is damaged, and was whole before")
    if not entries:
        raise StorageDamaged(path, "it holds no whole record")
    if end < len(data):
        _log.warning("journal_tail_cut", path=str(path), at_bytes=end, cut_bytes=len(data) - end)
    return entries


def _check_header(path: Path, data: bytes) -> int:
    if len(data) < _HEADER.size:
        raise StorageDamaged(path, f"the file is cut off ({len(data)} bytes)")
    magic, generation, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(struct.pack("<Q", generation)) != checksum:
        raise StorageDamaged(path, "its header is damaged")
    return int(generation)


def _mark_path(path: Path) -> Path:
    return path.with_name(path.name + ".mark")


def _marked_length(path: Path, generation: int) -> int:
    try:
        data = _mark_path(path).read_bytes()
    except FileNotFoundError:
        return 0
    if len(data) != _MARK.size or zlib.crc32(data[:16]) != _MARK.unpack(data)[2]:
        return 0
    marked_generation, length, _ = _MARK.unpack(data)
    return int(length) if marked_generation == generation else 0
