"""Promises wait for fdatasync; one fdatasync covers all that waits; the loop does not wait."""

from __future__ import annotations

import time

import pytest
import trio

from consensus.raft import durability
from consensus.raft.flush_thread import FlushThread


def test_an_append_is_acknowledged_when_it_is_durable(bench):
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1]])
    assert not bench.take("next_node_idx")
    bench.flush()
    assert bench.take("next_node_idx")


def test_a_heartbeat_is_answered_while_a_sync_is_under_way(bench):
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1]])
    bench.flush()
    bench.append("b", 1, (2, 1), [[b"\0x", 3, 1]])
    bench.take("next_node_idx")
    bench.append("b", 1, (2, 1), [])
    assert [body["next_node_idx"] for _, body in bench.take("next_node_idx")] == [3]


def test_a_promise_of_an_earlier_term_is_dropped(bench):
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1]])
    bench.append("c", 2, (1, 0), [])
    bench.flush()
    assert [body["from_term"] for _, body in bench.take("next_node_idx")] == [2]


async def test_one_sync_for_all_that_waits(cluster, monkeypatch):
    node = await cluster.found("a")
    await cluster.leader()
    file = node._storage.journal._segments
    real, before = type(file).sync, file.syncs

    def slow(self):
        time.sleep(0.02)
        real(self)

    monkeypatch.setattr(type(file), "sync", slow)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(lambda n=number: node.propose(b"%d" % n, timeout_s=10))
    assert len(cluster["a"].machine.entries) == 200
    assert file.syncs - before <= 4


async def test_a_slow_disk_does_not_hold_the_loop(cluster, monkeypatch):
    node = await cluster.found("a")
    await cluster.leader()
    file = node._storage.journal._segments
    real = type(file).sync

    def slow(self):
        time.sleep(0.3)
        real(self)

    monkeypatch.setattr(type(file), "sync", slow)
    worst = 0.0
    async with trio.open_nursery() as nursery:

        async def watch():
            nonlocal worst
            while True:
                began = trio.current_time()
                await trio.sleep(0.005)
                worst = max(worst, trio.current_time() - began - 0.005)

        nursery.start_soon(watch)
        await node.propose(b"x", timeout_s=5)
        nursery.cancel_scope.cancel()
    assert worst < 0.15


class _TimedFlush:
    def __init__(self, takes_s):
        self.takes_s = takes_s

    def run(self):
        time.sleep(self.takes_s)


async def test_each_flush_is_reported_once_whether_it_is_waited_for_or_not():
    """The race: a flush ends in the moment in which the loop gives up waiting for it."""
    called, returned, flushes = [], [], [_TimedFlush(0.0005 * (n % 4) / 3 + 0.0003) for n in range(120)]
    news = trio.Event()

    def ended(flush, error):
        called.append(flush)
        news.set()

    thread = FlushThread(ended)
    with trio.fail_after(20):
        for flush in flushes:
            news = trio.Event()
            if (result := thread.run_briefly(flush, 0.0006)) is not None:
                assert result == (flush, None)
                returned.append(flush)
            else:
                await news.wait()
                assert called[-1] is flush
    await thread.aclose()
    assert len(called) + len(returned) == len(flushes)


async def test_a_disk_that_was_slow_is_not_waited_for_again_at_once(cluster, monkeypatch):
    node = await cluster.found("a")
    await cluster.leader()
    waits, real = [], FlushThread.run_briefly

    def wait(self, flush, patience_s):
        ended = real(self, flush, patience_s)
        waits.append(ended is not None)
        return ended

    monkeypatch.setattr(FlushThread, "run_briefly", wait)
    monkeypatch.setattr(durability, "_SLOW_FOR_S", 60.0)
    node._core.durability._impatient_until_s = 0.0
    sync = type(node._storage.journal._segments).sync
    monkeypatch.setattr(type(node._storage.journal._segments), "sync", lambda self: (time.sleep(0.01), sync(self)))
    for number in range(5):
        await node.propose(b"%d" % number, timeout_s=5)
    assert waits == [False], "the first was slow, and the others are not waited for"


async def test_a_full_disk_stops_leading_and_recovers(cluster, monkeypatch):
    import consensus.raft.journal_segments as module
    from consensus.raft import OutcomeUnknown, StorageFull

    node = await cluster.found("a")
    await cluster.leader()
    real = module.os.pwrite

    def full(descriptor, data, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", full)
    with pytest.raises(OutcomeUnknown):
        await node.propose(b"x", timeout_s=0.3)
    with pytest.raises(StorageFull):
        await node.propose(b"y", timeout_s=0.3)
    monkeypatch.setattr(module.os, "pwrite", real)
    await cluster.until("a", lambda seen: seen.is_leader, within_s=5)
    await node.propose(b"z", timeout_s=5)
    assert cluster["a"].machine.entries == [b"x", b"z"]
