"""Kinds of damage on the disk of a stopped node, each a function of its folder of the log (issue 4, bar 2).

They are told for a log of at least five segments, and a snapshot that covers the first of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from consensus.raft.segment import HEADER_BYTES, segment_numbers, segment_path

PAGE = 1024
Damage = Callable[[Path], None]
Find = Callable[[Path], Path]


def _segment(position: int) -> Find:
    return lambda folder: segment_path(folder / "log", segment_numbers(folder / "log")[position])


FIRST, MIDDLE, LAST = _segment(0), _segment(2), _segment(-1)


def _file(name: str) -> Find:
    return lambda folder: folder / name


def _edit(find: Find, change: Callable[[bytearray], None]) -> Damage:
    def damage(folder: Path) -> None:
        path = find(folder)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return damage


def _cut(find: Find, keep: Callable[[int], int]) -> Damage:
    def damage(folder: Path) -> None:
        size = find(folder).stat().st_size
        os.truncate(find(folder), max(0, min(size, keep(size))))

    return damage


def _missing(*finds: Find) -> Damage:
    def damage(folder: Path) -> None:
        for path in [find(folder) for find in finds]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    return damage


def _flip(at: Callable[[bytearray], int]) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[at(data)] ^= 0x10

    return change


def _zero(begin: Callable[[int], int], length: int = PAGE) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        start = max(0, begin(len(data)))
        data[start : start + length] = bytes(len(data[start : start + length]))

    return change


def _append(find: Find, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        with find(folder).open("ab") as file:
            file.write(data)

    return damage


def _unfinished(folder: Path) -> None:
    for name in ("votes", "snapshot", "log/00000099.segment"):
        (folder / f"{name}.new").write_bytes(b"half")
    (folder / "log.new").mkdir()


def _torn_write(folder: Path) -> None:
    """Half a record of an entry that nobody was promised."""
    data = LAST(folder).read_bytes()
    with LAST(folder).open("ab") as file:
        file.write(data[HEADER_BYTES : HEADER_BYTES + 20])


def _all_segments_missing(folder: Path) -> None:
    for number in segment_numbers(folder / "log"):
        segment_path(folder / "log", number).unlink()


LOG, MARK = _file("log"), _file("log/mark")
VOTES, IDENTITY, SNAPSHOT = _file("votes"), _file("identity"), _file("snapshot")
DAMAGES: dict[str, Damage] = {
    "torn write at the end": _torn_write,
    "rubbish at the end": _append(LAST, random.Random(1).randbytes(999)),
    "zeros at the end": _append(LAST, bytes(PAGE)),
    "rubbish at the end of a middle segment": _append(MIDDLE, random.Random(1).randbytes(99)),
    "last record torn": _cut(LAST, lambda size: size - 7),
    "last record missing half": _cut(LAST, lambda size: size - 200),
    "last page zeroed": _edit(LAST, _zero(lambda size: size - PAGE)),
    "middle page zeroed": _edit(MIDDLE, _zero(lambda size: size // 2)),
    "first page zeroed": _edit(FIRST, _zero(lambda size: 0)),
    "first segment zeroed": _edit(FIRST, _zero(lambda size: 0, 2 * PAGE)),
    "middle segment zeroed": _edit(MIDDLE, _zero(lambda size: 0, 2 * PAGE)),
    "last segment zeroed": _edit(LAST, _zero(lambda size: 0, 2 * PAGE)),
    "flipped bit in a payload": _edit(MIDDLE, _flip(lambda data: len(data) // 2)),
    "flipped bit in the last payload": _edit(LAST, _flip(lambda data: len(data) - 5)),
    "flipped bit in a record's header": _edit(MIDDLE, _flip(lambda data: HEADER_BYTES + 13)),
    "flipped bit in a record's length": _edit(MIDDLE, _flip(lambda data: HEADER_BYTES + 5)),
    "flipped bit in the first segment's header": _edit(FIRST, _flip(lambda data: 9)),
    "flipped bit in the last segment's header": _edit(LAST, _flip(lambda data: 17)),
    "flipped bit in the mark": _edit(MARK, _flip(lambda data: 9)),
    "flipped bit in the votes": _edit(VOTES, _flip(lambda data: len(data) - 2)),
    "flipped bit in the identity": _edit(IDENTITY, _flip(lambda data: len(data) - 2)),
    "flipped bit in the snapshot's header": _edit(SNAPSHOT, _flip(lambda data: 10)),
    "flipped bit in the snapshot": _edit(SNAPSHOT, _flip(lambda data: len(data) // 2)),
    "snapshot's middle zeroed": _edit(SNAPSHOT, _zero(lambda size: size // 2)),
    "first segment cut": _cut(FIRST, lambda size: size // 2),
    "middle segment cut": _cut(MIDDLE, lambda size: size // 2),
    "last segment cut": _cut(LAST, lambda size: size // 2),
    "last segment cut to its header": _cut(LAST, lambda size: HEADER_BYTES),
    "first segment empty": _cut(FIRST, lambda size: 0),
    "middle segment empty": _cut(MIDDLE, lambda size: 0),
    "last segment empty": _cut(LAST, lambda size: 0),
    "votes cut": _cut(VOTES, lambda size: size - 1),
    "votes empty": _cut(VOTES, lambda size: 0),
    "identity empty": _cut(IDENTITY, lambda size: 0),
    "snapshot cut": _cut(SNAPSHOT, lambda size: size // 2),
    "snapshot empty": _cut(SNAPSHOT, lambda size: 0),
    "mark empty": _cut(MARK, lambda size: 0),
    "first segment missing": _missing(FIRST),
    "first two segments missing": _missing(FIRST, _segment(1)),
    "middle segment missing": _missing(MIDDLE),
    "last segment missing": _missing(LAST),
    "last segment and mark missing": _missing(LAST, _file("log/mark")),
    "last two segments and mark missing": _missing(LAST, _segment(-2), _file("log/mark")),
    "all segments missing": _all_segments_missing,
    "log missing": _missing(LOG),
    "votes missing": _missing(VOTES),
    "identity missing": _missing(IDENTITY),
    "snapshot missing": _missing(SNAPSHOT),
    "mark missing": _missing(MARK),
    "log and snapshot missing": _missing(LOG, SNAPSHOT),
    "everything missing": _missing(LOG, SNAPSHOT, VOTES, IDENTITY),
    "unfinished new files": _unfinished,
}
HEALS = {
    "torn write at the end",
    "rubbish at the end",
    "zeros at the end",
    "flipped bit in the mark",
    "mark empty",
    "mark missing",
    "first segment missing",
    "unfinished new files",
}
"""These lose nothing; all others must be refused by a node that is alone."""
