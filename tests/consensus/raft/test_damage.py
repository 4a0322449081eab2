"""Damage on the disk of a stopped node, each kind in turn (bar 2 of issue 4).

A node alone, so that nobody can heal it: it has every acknowledged entry and its old term and vote, or it refuses to
start with a message that names the file and the way out. And one of three, which is complete again or refuses.
"""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
import trio

from consensus.raft import RaftConfig, RaftNode, StorageDamaged, StorageMisused
from consensus.raft.journal_segments import create_segments, open_segments
from consensus.raft.record import Entry
from consensus.raft.segment import segment_numbers, segment_path
from consensus.raft.votes import load_votes
from tests.support.damages import DAMAGES, HEALS, PAGE

COUNT = 45


@pytest.fixture
def config() -> RaftConfig:
    """A snapshot at entry 31, and a log of five segments, the first of which the snapshot covers."""
    return msgspec.structs.replace(
        RaftConfig.local(), snapshot_after_entries=30, tail_entries_kept=5, segment_bytes=2 * PAGE
    )


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
