"""The files of a stopped node: inspected, and made to lead alone after a lost quorum."""

from __future__ import annotations

import pytest

from consensus.raft import StorageMisused
from consensus.raft.offline import inspect, make_sole_voter, read


async def test_a_lost_quorum_is_recovered_from_one_node(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    for number in range(5):
        await leader.propose(b"%d" % number, timeout_s=5)
    await cluster.settle()
    with pytest.raises(StorageMisused, match="in use"):
        inspect(cluster.path / "a")
    for member in cluster.members.values():
        await member.kill()
    before = inspect(cluster.path / "a")
    assert before.voters == ("a", "b", "c")
    assert [e.command[1:] for e in read(cluster.path / "a")[1]][-1] == b"4"
    after = make_sole_voter(cluster.path / "a")
    assert (after.voters, after.last_index, after.term) == (("a",), before.last_index + 1, before.term + 1)
    assert make_sole_voter(cluster.path / "a") == after, "again changes nothing"
    del cluster.members["b"], cluster.members["c"]
    await cluster["a"].start()
    leader = await cluster.leader()
    await leader.propose(b"alone", timeout_s=5)
    assert cluster["a"].machine.entries == [b"0", b"1", b"2", b"3", b"4", b"alone"]
    await cluster.join("d", ["a"])
    await leader.wait_caught_up("d")
    await leader.add_voter("d", timeout_s=5)
