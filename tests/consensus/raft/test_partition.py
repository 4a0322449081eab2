"""Partitions: no acknowledged write is lost, a stale leader's writes are ambiguous, a leader without quorum stops."""

from __future__ import annotations

import pytest
import trio

from consensus.raft import BarrierFailed, NotLeader, OutcomeUnknown


async def test_partitioned_leader_steps_down_and_loses_nothing(cluster):
    await cluster.grow("a", "b", "c")
    old = await cluster.leader()
    for number in range(5):
        await old.propose(b"acknowledged %d" % number, timeout_s=5)
    rest = set(cluster.members) - {old.node_id}
    cluster.network.cut({old.node_id}, rest)
    with pytest.raises(OutcomeUnknown):
        await old.propose(b"ambiguous", timeout_s=0.2)
    await cluster.until(old.node_id, lambda seen: seen.leader_id is None, within_s=3)
    with pytest.raises(NotLeader):
        await old.propose(b"refused", timeout_s=1)
    new = await cluster.leader(rest)
    for number in range(5, 10):
        await new.propose(b"acknowledged %d" % number, timeout_s=5)
    term = new.term
    cluster.network.heal()
    leader = await cluster.leader()
    await leader.propose(b"last", timeout_s=5)
    await cluster.settle()
    expected = [b"acknowledged %d" % number for number in range(10)] + [b"last"]
    for member in cluster.members.values():
        assert member.machine.entries == expected
    assert leader.term == term, "a node that returns disturbs nobody (pre-vote)"


async def test_pending_write_of_a_stale_leader_is_told_when_it_was_replaced(cluster):
    """Another entry is committed at its index: now it is certain that it was not applied."""
    await cluster.grow("a", "b", "c")
    old = await cluster.leader()
    rest = set(cluster.members) - {old.node_id}
    cluster.network.cut({old.node_id}, rest)
    outcome = []

    async def propose():
        try:
            await old.propose(b"never", timeout_s=10)
        except Exception as error:
            outcome.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(propose)
        new = await cluster.leader(rest)
        for _ in range(5):
            await new.propose(b"x", timeout_s=5)
        cluster.network.heal()
    assert outcome == ["ProposalRefused"]
    await cluster.settle()
    assert b"never" not in cluster["a"].machine.entries


async def test_no_quorum_means_no_leader(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    cluster.network.cut({"a"}, {"b"}, {"c"})
    for name in cluster.members:
        await cluster.until(name, lambda seen: seen.leader_id is None, within_s=3)
    terms = [member.node.term for member in cluster.members.values()]
    await trio.sleep(1.5)
    assert [member.node.term for member in cluster.members.values()] == terms, "pre-vote keeps terms still"
    assert not leader.is_leader
    cluster.network.heal()
    await (await cluster.leader()).propose(b"x", timeout_s=5)


async def test_read_barrier_needs_a_quorum_after_it_began(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    applied = await leader.propose(b"x", timeout_s=5)
    assert await leader.read_barrier(timeout_s=2) >= applied.index
    cluster.network.cut({leader.node_id}, set(cluster.members) - {leader.node_id})
    with pytest.raises((BarrierFailed, NotLeader)):
        await leader.read_barrier(timeout_s=0.3)


async def test_lost_messages_only_delay(cluster):
    await cluster.grow("a", "b", "c")
    leader = await cluster.leader()
    count = 0

    def drop(source, target, body):
        nonlocal count
        count += 1
        return count % 5 == 0

    cluster.network.drop = drop
    done = []
    for number in range(10):
        try:
            await leader.propose(b"%d" % number, timeout_s=3)
            done.append(b"%d" % number)
        except (OutcomeUnknown, NotLeader):
            leader = await cluster.leader()
    cluster.network.drop = lambda source, target, body: False
    await cluster.leader()
    await cluster.settle()
    for member in cluster.members.values():
        assert [entry for entry in member.machine.entries if entry in done] == done
