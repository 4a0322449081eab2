"""The log on disk: a folder of segments of bounded size, appended to, cut at the end, and dropped at the beginning.

A record never spans two segments. A segment is synced before the next one is made, so a torn tail can only be in the
last one; damage anywhere else is told apart from it, and refused. Whatever is removed is removed in an order in which
a crash leaves a log without a hole.

All methods block and are called by one thread at a time; `create_segments` and `open_segments` are the doors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from ..durable import sync_directory
from .errors import StorageDamaged
from .journal_mark import JournalMark, read_mark
from .record import Entry, encode_record
from .segment import (
    HEADER_BYTES,
    Segment,
    create_segment,
    cut_segment,
    read_header,
    read_last_segment,
    read_sealed_segment,
    segment_numbers,
    segment_path,
)

_log = structlog.get_logger()
SEGMENT_BYTES = 8 * 1024 * 1024


class JournalSegments:
    """The open log: where its records are, and how much of the last segment is durable.

    `keep_newest` keeps the number of the last segment elsewhere, durably, where that was `newest` until now.

    Every method that raised OSError may be called again in the same way.
    """

    def __init__(self, folder: Path, segments: list[Segment], segment_bytes: int, newest: int = 0) -> None:
        self._folder = folder
        self._segments = segments
        self._segment_bytes = segment_bytes
        self._synced = segments[-1].length
        self._descriptor = os.open(segment_path(folder, segments[-1].number), os.O_RDWR)
        self._mark = JournalMark(folder)
        self._newest = newest
        self.keep_newest: Callable[[int], None] = lambda number: None
        self.syncs = 0

    @property
    def count(self) -> int:
        """Of segments."""
        return len(self._segments)

    @property
    def length_bytes(self) -> int:
        """Of all segments."""
        return sum(segment.length for segment in self._segments)

    @property
    def last_index(self) -> int:
        return self._segments[-1].last_index

    def append(self, entries: Sequence[Entry]) -> None:
        """Write records at the end; durable after `sync`."""
        # Those that an earlier try has written are not written again.
        rest = list(entries[max(0, self.last_index + 1 - entries[0].index) :])
        while rest:
            if not (records := self._fitting(rest)):
                self._begin_next()
                continue
            self._write(records)
            del rest[: len(records)]

    def _fitting(self, entries: Sequence[Entry]) -> list[bytes]:
        """Records of as many as have room in the last segment, which has room for any one as long as it is empty."""
        length, records = self._segments[-1].length, list[bytes]()
        for entry in entries:
            record = encode_record(entry, self._synced)
            if length + len(record) > self._segment_bytes and length > HEADER_BYTES:
                break
            length += len(record)
            records.append(record)
        return records

    def _write(self, records: list[bytes]) -> None:
        tail, data, written = self._segments[-1], memoryview(b"".join(records)), 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], tail.length + written)
        for record in records:
            tail.ends.append(tail.length + len(record))

    def _begin_next(self) -> None:
        tail = self._segments[-1]
        cut_segment(self._descriptor, tail.length)
        following = create_segment(self._folder, tail.number + 1, [], first_index=tail.last_index + 1, anew=False)
        self._open_last([*self._segments, following], HEADER_BYTES)

    def _open_last(self, segments: list[Segment], synced: int) -> None:
        """The log consists of these; from now on the last of them is written to."""
        descriptor = os.open(segment_path(self._folder, segments[-1].number), os.O_RDWR)
        os.close(self._descriptor)
        self._descriptor, self._segments, self._synced = descriptor, segments, synced
        self._mark_durably()

    def sync(self) -> None:
        """Make all that was appended durable."""
        self._tell_newest(self._segments[-1].number)
        if self._synced != self._segments[-1].length:
            os.fdatasync(self._descriptor)
            self._synced = self._segments[-1].length
            self._mark.write(self._segments[-1].number, self._synced)
            self.syncs += 1

    def sync_all(self) -> None:
        """After opening: what a killed process left in the page cache is durable only now."""
        os.fdatasync(self._descriptor)
        self._mark.write(self._segments[-1].number, self._synced)

    def truncate(self, last_index: int) -> None:
        """Drop the entries after `last_index`, durably: later appends must never stand before an older tail."""
        kept = [segment for segment in self._segments if segment.first_index <= last_index]
        tail = kept[-1]
        length = tail.length_up_to(last_index)
        # First what tells of more, or a crash in between would look like damage.
        self._tell_newest(tail.number)
        self._mark.write(tail.number, min(length, self._synced) if len(kept) == self.count else length)
        self._mark.sync()
        self._remove([segment.number for segment in reversed(self._segments[len(kept) :])])
        if len(kept) < self.count:
            self._open_last(kept, length)
        cut_segment(self._descriptor, length)
        del tail.ends[last_index + 1 - tail.first_index :]
        self._synced = length

    def drop(self, first_index: int) -> None:
        """Remove the segments that only have entries before `first_index`, when what stays is durable."""
        while self.count > 1 and self._segments[1].first_index <= first_index:
            # A crash could else leave a last segment without a record, and nothing before it.
            self.sync()
            self._remove([self._segments[0].number])
            del self._segments[0]

    def restart(self, base: Entry) -> None:
        """Begin the log anew after `base`, atomically and durably."""
        number, replaced = self._segments[-1].number + 1, [segment.number for segment in self._segments]
        begun = create_segment(self._folder, number, [base], first_index=base.index, anew=True)
        self._open_last([begun], begun.length)
        self._remove(replaced)

    def close(self) -> None:
        os.close(self._descriptor)
        self._mark.close()

    def _remove(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            segment_path(self._folder, number).unlink(missing_ok=True)
            # One after the other, or a power cut could leave a hole.
            sync_directory(self._folder)

    def _tell_newest(self, number: int) -> None:
        if number != self._newest:
            self.keep_newest(number)
            self._newest = number

    def _mark_durably(self) -> None:
        self._mark.write(self._segments[-1].number, self._synced)
        self._mark.sync()


def create_segments(folder: Path, entries: Sequence[Entry], segment_bytes: int = SEGMENT_BYTES) -> None:
    """Write a first log, durably: in `folder`, which appears only when it is whole, in the place of what is there."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    first = create_segment(fresh, 1, entries[:1], first_index=entries[0].index, anew=True)
    log = JournalSegments(fresh, [first], segment_bytes)
    try:
        log.append(entries)
        log.sync()
        log._mark_durably()
    finally:
        log.close()
    sync_directory(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)
    sync_directory(folder.parent)


def open_segments(
    folder: Path, segment_bytes: int = SEGMENT_BYTES, newest: int = 0
) -> tuple[JournalSegments, list[Entry]]:
    """Open a log and read its entries. A torn tail is cut off with a warning.

    `newest` is the number of a segment that there was, or 0: without that, or a later one, something is missing.

    Raises:
        StorageDamaged: missing, or damaged in a place that was durable.
    """
    marked_number, marked_length = read_mark(folder)
    numbers, replaced = _numbers(folder, max(marked_number, newest))
    segments, entries = list[Segment](), list[Entry]()
    for number in numbers[:-1]:
        segment, its_entries = read_sealed_segment(folder, number)
        _continue(folder, segments, segment)
        entries += its_entries
    last = numbers[-1]
    segment, its_entries, file_length = read_last_segment(folder, last, marked_length if last == marked_number else 0)
    _continue(folder, segments, segment)
    entries += its_entries
    if not entries:
        raise StorageDamaged(segment_path(folder, last), "it holds no whole record", folder.parent)
    log = JournalSegments(folder, segments, segment_bytes, newest)
    try:
        if segment.length < file_length:
            cut_bytes = file_length - segment.length
            _log.warning(
                "journal_tail_cut", path=str(segment_path(folder, last)), at_bytes=segment.length, cut_bytes=cut_bytes
            )
            cut_segment(log._descriptor, segment.length)
        log.sync_all()
        log._remove(replaced)
    except BaseException:
        log.close()
        raise
    return log, entries


def _numbers(folder: Path, marked: int) -> tuple[list[int], list[int]]:
    """The segments that make up the log, and those that a new beginning replaced. Raises StorageDamaged."""
    found = segment_numbers(folder)
    if not found:
        what = "the log is missing" if not folder.is_dir() else "all segments of the log are missing"
        raise StorageDamaged(folder, what, folder.parent)
    if marked > found[-1]:
        raise StorageDamaged(segment_path(folder, marked), "the last segment of the log is missing", folder.parent)
    begin = len(found) - 1
    while not read_header(folder, found[begin]).anew and begin > 0:
        begin -= 1
        if found[begin] + 1 != found[begin + 1]:
            missing = segment_path(folder, found[begin] + 1)
            raise StorageDamaged(missing, "a segment in the middle of the log is missing", folder.parent)
    return found[begin:], found[:begin]


def _continue(folder: Path, segments: list[Segment], segment: Segment) -> None:
    if segments and segment.first_index != segments[-1].last_index + 1:
        what = f"it ends at entry {segments[-1].last_index}, and the next segment begins at {segment.first_index}"
        raise StorageDamaged(segment_path(folder, segments[-1].number), what, folder.parent)
    segments.append(segment)
