"""A state as a file, and a state that is replaced: the log goes on from there, on disk too."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from consensus.raft import NotRunning, RaftNode, StorageDamaged
from consensus.raft.snapshot import read_snapshot


async def filled(cluster, *names: str) -> RaftNode:
    await cluster.grow(*names)
    leader = await cluster.leader()
    for number in range(20):
        await leader.propose(b"%d" % number, timeout_s=5)
    await cluster.settle()
    return leader


def taken_from(source: RaftNode):
    async def receive(at_least: int, path: Path) -> None:
        await source.wait_applied(at_least)
        await source.export_state(path)

    return receive


async def test_an_exported_state_is_that_of_one_index(cluster, tmp_path):
    node = await filled(cluster, "a")
    header = await node.export_state(tmp_path / "file")
    await node.propose(b"later", timeout_s=5)
    found = read_snapshot(tmp_path / "file")
    assert (found.header, found.header.index, header.voters) == (header, node.applied_index - 1, ("a",))
    assert b"later" not in bytes(found.state)


@pytest.mark.parametrize("more", [0, 5])
async def test_a_wrong_state_is_replaced_while_the_log_goes_on(cluster, more):
    leader = await filled(cluster, "a", "b", "c")
    wrong = next(member for member in cluster.members.values() if not member.node.is_leader)
    wrong.machine.entries[3] = b"wrong"

    async def receive(at_least: int, path: Path) -> None:
        for number in range(more):
            await leader.propose(b"more %d" % number, timeout_s=5)
        await taken_from(leader)(at_least, path)
        await leader.propose(b"after", timeout_s=5)

    with trio.fail_after(10):
        await wrong.node.replace_state(receive)
        await cluster.settle()
    right = cluster[leader.node_id].machine.entries
    assert wrong.machine.entries == right
    assert right[-1] == b"after"
    await wrong.kill()
    await wrong.start()
    await cluster.settle()
    assert wrong.machine.entries == right
    assert not list((cluster.path / wrong.node_id).glob("snapshot.replacing*"))


async def test_a_state_that_is_too_old_or_damaged_changes_nothing(cluster, tmp_path):
    leader = await filled(cluster, "a", "b", "c")
    await leader.export_state(tmp_path / "old")
    await leader.propose(b"newer", timeout_s=5)
    await cluster.settle()
    wrong = next(member for member in cluster.members.values() if not member.node.is_leader)
    before = list(wrong.machine.entries)

    data = await trio.Path(tmp_path / "old").read_bytes()

    async def old(at_least: int, path: Path) -> None:
        await trio.Path(path).write_bytes(data)

    async def damaged(at_least: int, path: Path) -> None:
        await trio.Path(path).write_bytes(data[:-1] + b"?")

    with pytest.raises(ValueError, match="is applied here"):
        await wrong.node.replace_state(old)
    with pytest.raises(StorageDamaged, match="checksum"):
        await wrong.node.replace_state(damaged)
    await leader.propose(b"and on", timeout_s=5)
    await cluster.settle()
    assert wrong.machine.entries == [*before, b"and on"]


async def test_a_state_machine_that_finds_itself_damaged_writes_no_snapshot_and_tells(cluster):
    node, told, heard = await filled(cluster, "a"), [], trio.Event()

    def image_failed(reason: str) -> None:
        told.append(reason)
        heard.set()

    node.image_failed = image_failed

    def pieces():
        yield b"half"
        raise ValueError("the rows are not right")

    cluster["a"].machine.image = lambda: pieces
    node._core.compact_now()
    with trio.fail_after(5):
        await heard.wait()
    assert told == ["the rows are not right"]
    assert not (cluster.path / "a" / "snapshot").exists()
    assert not (cluster.path / "a" / "snapshot.new").exists()


async def test_a_node_that_does_not_run_has_no_state_to_give(cluster, tmp_path):
    node = await filled(cluster, "a")
    await cluster["a"].kill()
    with pytest.raises(NotRunning):
        await node.export_state(tmp_path / "file")
