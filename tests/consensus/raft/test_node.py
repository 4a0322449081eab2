"""RaftNode end to end: several nodes in one process, on real files."""

from __future__ import annotations

import pytest
import trio

from consensus.raft import NotLeader


async def test_founder_leads_at_once(cluster):
    began = trio.current_time()
    node = await cluster.found("a")
    leader = await cluster.leader()
    assert leader is node
    assert trio.current_time() - began < 0.5
    applied = await node.propose(b"x", timeout_s=5)
    assert applied.result == 1
    assert applied.index == node.applied_index


async def test_three_nodes_replicate(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    for number in range(20):
        await leader.propose(b"%d" % number, timeout_s=5)
    await cluster.settle()
    for member in cluster.members.values():
        assert member.machine.entries == [b"%d" % n for n in range(20)]
        assert member.node.voters == ("a", "b", "c")


async def test_follower_refuses_and_names_the_leader(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    follower = next(m.node for m in cluster.members.values() if m.node is not leader)
    with pytest.raises(NotLeader) as refused:
        await follower.propose(b"x", timeout_s=1)
    assert refused.value.leader_id == leader.node_id


async def test_kill_leader_then_restart_all(cluster):
    await cluster.grow("a", "b", "c")
    first = await cluster.leader()
    for number in range(10):
        await first.propose(b"%d" % number, timeout_s=5)
    await cluster[first.node_id].kill()
    rest = set(cluster.members) - {first.node_id}
    second = await cluster.leader(rest)
    for number in range(10, 20):
        await second.propose(b"%d" % number, timeout_s=5)
    for name in rest:
        await cluster[name].kill()
    for member in cluster.members.values():
        await member.start()
    await cluster.leader()
    await cluster.settle()
    for member in cluster.members.values():
        assert member.machine.entries == [b"%d" % n for n in range(20)]
