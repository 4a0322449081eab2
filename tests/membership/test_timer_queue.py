"""Timers of a driver, and what a pause of the process does to them."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
import trio.testing

from membership import Keyring, Membership, MemoryIncarnationStore, lan
from membership.codec import encode_message, encode_packet, open_packet, seal_packet
from membership.faults import Faults, LinkQuality
from membership.inputs import PacketReceived
from membership.member import Address
from membership.memory import MemoryExchanges
from membership.messages import Ack, Alive, Packet, Ping
from membership.timer_queue import TimerQueue
from membership.timers import GossipTick, PushPullTick, ReapTick


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """No thread runs in these tests, so the clock may jump (style.md 17)."""
    return trio.testing.MockClock(autojump_threshold=0)


async def test_timers_fire_in_order_and_on_time(nursery: trio.Nursery, autojump_clock: Any) -> None:
    queue, fired = TimerQueue(), []
    nursery.start_soon(queue.run, lambda timer: fired.append((trio.current_time(), timer)), lambda: None)
    started_s = trio.current_time()
    for timer, delay_s in ((GossipTick(), 2.0), (PushPullTick(), 1.0), (ReapTick(), 1.0)):
        queue.start(timer, delay_s)
    await trio.sleep(3)
    assert [timer for _, timer in fired] == [PushPullTick(), ReapTick(), GossipTick()]
    assert [at_s - started_s for at_s, _ in fired] == pytest.approx([1, 1, 2])


async def test_after_a_pause_what_has_arrived_comes_before_what_is_overdue(nursery: trio.Nursery) -> None:
    """A stopped process wakes up with overdue timeouts and with the answers to them in its socket."""
    queue, happened = TimerQueue(), []
    nursery.start_soon(queue.run, lambda timer: happened.append("fired"), lambda: happened.append("caught up"))
    queue.start(GossipTick(), 0.02)
    await trio.sleep(0.1)
    assert happened == ["fired"], "on time there is nothing to catch up with"
    queue.start(GossipTick(), -1)
    await trio.testing.wait_all_tasks_blocked()
    assert happened == ["fired", "caught up", "fired"]


class StoppedTransport:
    """The process stands still from its first ping on; the ack comes meanwhile and lies in the socket."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.arrived: list[tuple[bytes, Address]] = []
        self.pinged = trio.Event()

    async def send(self, datagram: bytes, target: Address) -> None:
        await trio.lowlevel.checkpoint()
        for message in open_packet(self._keyring, datagram).messages:
            if isinstance(message, Ping) and not self.pinged.is_set():
                ack = encode_packet("n1", [encode_message(Ack(message.sequence))])
                self.arrived.append((seal_packet(self._keyring, ack), target))
                self.pinged.set()

    async def receive(self) -> tuple[bytes, Address]:
        await trio.sleep_forever()
        raise AssertionError

    def receive_nowait(self) -> tuple[bytes, Address] | None:
        return self.arrived.pop() if self.arrived else None


async def test_an_ack_that_waited_out_a_pause_counts(
    kit: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The race: the ack of a probe lies in the socket while the process is stopped over the end of its period. If the
    timers won, a healthy member would be suspected."""
    keyring = Keyring([b"k" * 32])
    packets = StoppedTransport(keyring)
    member = Membership(
        lan(),
        name="n0",
        address=("10.0.0.1", 7946),
        meta=b"",
        keyring=keyring,
        packets=packets,
        exchange=MemoryExchanges(Faults(LinkQuality(), random.Random(1))).client("n0", ("10.0.0.1", 7946)),
        incarnations=MemoryIncarnationStore(),
        rng=random.Random(1),
    )
    await nursery.start(member.run)
    member._handle(PacketReceived(("10.0.0.2", 7946), Packet(1, 1, "n1", (Alive("n1", "10.0.0.2", 7946, 1, b""),))))
    await packets.pinged.wait()
    autojump_clock.jump(20)
    await trio.sleep(0.01)
    assert not packets.arrived
    assert member.health().failed_probes == 0
    assert member.members["n1"].state.word == "alive"
    nursery.cancel_scope.cancel()
