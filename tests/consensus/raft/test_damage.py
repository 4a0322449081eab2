"""Damage on the disk of a stopped node, each kind in turn (bar 2 of issue 4).

A node alone, so that nobody can heal it: it has every acknowledged entry and its old term and vote, or it refuses to
start with a message that names the file and the way out. And one of three, which is complete again or refuses.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio

from consensus.raft import RaftConfig, RaftNode, StorageDamaged, StorageMisused
from consensus.raft.journal_segments import create_segments, open_segments
from consensus.raft.record import Entry
from consensus.raft.segment import HEADER_BYTES, segment_numbers, segment_path
from consensus.raft.votes import load_votes

PAGE = 1024
COUNT = 45
Damage = Callable[[Path], None]
Find = Callable[[Path], Path]


@pytest.fixture
def config() -> RaftConfig:
    """A snapshot at entry 31, and a log of five segments, the first of which the snapshot covers."""
    return msgspec.structs.replace(
        RaftConfig.local(), snapshot_after_entries=30, tail_entries_kept=5, segment_bytes=2 * PAGE
    )


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
    "all segments missing": _missing(*(_segment(position) for position in range(5))),
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


def _entries(count: int) -> list[bytes]:
    return [b"%d" % number + bytes(300) for number in range(count)]


async def _fill(node: RaftNode, count: int) -> None:
    for entry in _entries(count):
        await node.propose(entry, timeout_s=5)


async def _snapshot_made(folder: Path, segments: int | None = None) -> None:
    """And that so many segments are left, if that is known: what it covers goes a moment later."""
    with trio.fail_after(5):
        while (  # noqa: ASYNC110 - files cannot set an event
            not (folder / "snapshot").exists() or segments not in (None, len(segment_numbers(folder / "log")))
        ):
            await trio.sleep(0.01)


@pytest.mark.parametrize("kind", DAMAGES)
async def test_alone(cluster, kind):
    node = await cluster.found("a")
    await cluster.leader()
    folder = cluster.path / "a"
    await _fill(node, COUNT)
    await _snapshot_made(folder, segments=5)
    await cluster["a"].kill()
    votes = load_votes(folder / "votes").votes
    DAMAGES[kind](folder)
    if kind not in HEALS:
        with pytest.raises((StorageDamaged, StorageMisused)) as refused:
            await cluster["a"].start()
        assert str(folder) in str(refused.value)
        assert kind == "everything missing" or "Way out" in str(refused.value)
        with pytest.raises((StorageDamaged, StorageMisused)):
            await cluster["a"].start()
        return
    node = await cluster["a"].start()
    await cluster.leader()
    await cluster.settle()
    assert cluster["a"].machine.entries == _entries(COUNT)
    assert node.term > votes.term, "it leads a new term, since it had voted in the old one"


@pytest.mark.parametrize(
    "kind", ["last page zeroed", "torn write at the end", "middle segment missing", "snapshot missing", "votes missing"]
)
async def test_one_of_three(cluster, kind):
    """What is refused is complete again by the way out that the message names: as a new node, from the others."""
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    await _fill(leader, COUNT)
    await cluster.settle()
    name = next(name for name in cluster.members if name != leader.node_id)
    await _snapshot_made(cluster.path / name)
    await cluster[name].kill()
    DAMAGES[kind](cluster.path / name)
    if kind in HEALS:
        await cluster[name].start()
    else:
        with pytest.raises(StorageDamaged, match=f"move {cluster.path / name} away and join the cluster again as a"):
            await cluster[name].start()
        del cluster.members[name]
        await leader.remove_voter(name, timeout_s=5)
        name = "new"
        await cluster.join(name, [leader.node_id])
        await leader.wait_caught_up(name)
        await leader.add_voter(name, timeout_s=5)
    await cluster.settle()
    assert cluster[name].machine.entries == _entries(COUNT)


def test_a_power_cut_in_the_middle_of_a_batch_costs_nothing_acknowledged(tmp_path):
    """Any prefix of what came after the last sync may be on disk; all before it is proven by it."""
    rng = random.Random(3)
    folder = tmp_path / "log"
    create_segments(folder, [Entry(b"\1", 1, 0)])
    log, _ = open_segments(folder)
    log.append([Entry(b"\0synced %d" % n, n, 1) for n in range(2, 10)])
    log.sync()
    path, mark = segment_path(folder, 1), folder / "mark"
    durable = path.stat().st_size
    log.append([Entry(b"\0unsynced %d" % n, n, 1) for n in range(10, 20)])
    log.close()
    whole, marked = path.read_bytes(), mark.read_bytes()
    for _ in range(200):
        torn = bytearray(whole[: rng.randint(durable, len(whole))])
        for at in range(durable, len(torn)):
            if rng.random() < 0.01:
                torn[at] = 0
        path.write_bytes(torn)
        mark.write_bytes(marked)
        reopened, entries = open_segments(folder)
        reopened.close()
        assert [e.index for e in entries] == list(range(1, len(entries) + 1))
        assert len(entries) >= 9
