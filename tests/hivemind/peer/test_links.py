"""Links: alternation of up and down, bounded queues, peers that vanish or stall."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
import trio
import trio.testing

from hivemind.peer import PeerConfig
from hivemind.peer.client import Dialler
from hivemind.peer.links import Link
from hivemind.peer.messages import Message, Ping, Pong
from hivemind.peer.metrics import Counters
from hivemind.peer.services import Services


async def test_messages_travel_in_order_and_one_way(cluster: Any, recorder: Any) -> None:
    a, b = cluster.channel("a"), cluster.channel("b")
    at_a, at_b = recorder(), recorder()
    a.listen(at_a)
    b.listen(at_b)
    assert a.send("b", 0) is False
    await cluster.start(a, b)
    a.connect("b")
    a.connect("b")
    await at_a.until(lambda r: r.changes == [("up", "b")])
    assert at_b.changes == []
    assert b.send("a", 1) is False
    for number in range(2000):
        assert a.send("b", {"n": number})
    await at_b.until(lambda r: len(r.messages) == 2000)
    assert at_b.messages == [("a", {"n": number}) for number in range(2000)]
    a.disconnect("b")
    assert a.send("b", 0) is False
    a.connect("b")
    await at_a.until(lambda r: len(r.changes) == 3)
    assert at_a.changes == [("up", "b"), ("down", "b"), ("up", "b")]
    with pytest.raises(ValueError, match="itself"):
        a.connect("a")


async def test_up_and_down_alternate_while_the_other_side_is_killed_and_restarted(cluster: Any, recorder: Any) -> None:
    a = cluster.channel("a")
    at_a = recorder()
    a.listen(at_a)
    a.connect("b")
    await cluster.start(a)
    for round_number in range(3):
        b = cluster.channel("b")
        at_b = recorder()
        b.listen(at_b)
        await cluster.start(b)
        await at_a.until(lambda r, n=round_number: len(r.changes) == 2 * n + 1)
        assert a.send("b", round_number)
        await at_b.until(lambda r, n=round_number: r.messages == [("a", n)])
        await b.aclose()
        await at_a.until(lambda r, n=round_number: len(r.changes) == 2 * n + 2)
        assert not a.send("b", 0)
    assert at_a.changes == [("up", "b"), ("down", "b")] * 3


async def test_who_was_met_is_told_on_both_sides(cluster: Any, recorder: Any) -> None:
    met, meetings = trio.open_memory_channel[tuple[str, str]](9)
    a, b = cluster.channel("a"), cluster.channel("b")
    for channel, name in ((a, "a"), (b, "b")):
        channel.listen(recorder())
        channel.on_contact(lambda peer, name=name: met.send_nowait((name, peer)))
    await cluster.start(a, b)
    a.connect("b")
    with trio.fail_after(5):
        assert {await meetings.receive(), await meetings.receive()} == {("a", "b"), ("b", "a")}


async def test_a_peer_that_never_answers_is_never_up(cluster: Any, recorder: Any) -> None:
    """The port accepts (the kernel does) and no handshake comes: each attempt has its deadline."""
    a = cluster.channel("a", config=PeerConfig(connect_timeout_s=0.2, redial_max_s=0.1))
    at_a = recorder()
    a.listen(at_a)
    (hole,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with hole:
        cluster.addresses["hole"] = hole.socket.getsockname()
        a.connect("hole")
        await cluster.start(a)
        with trio.fail_after(5):
            for _ in range(3):
                await trio.aclose_forcefully(await hole.accept())
        assert at_a.changes == []
        assert not a.send("hole", 1)


async def test_a_peer_that_stops_reading_is_down_within_3_s_and_its_queue_is_bounded(
    cluster: Any, recorder: Any, stalled_peer: Any
) -> None:
    """As after SIGSTOP or a pulled cable: the kernel still takes some bytes, nothing comes back."""
    config = PeerConfig(link_queue_frames=1000, link_queue_bytes=2_000_000, max_frame_bytes=1_000_000, redial_max_s=0.2)
    a = cluster.channel("a", config=config)
    at_a = recorder()
    a.listen(at_a)
    await cluster.start(a)
    async with trio.open_nursery() as nursery:
        cluster.addresses["stalled"] = await nursery.start(stalled_peer, cluster.identity("stalled"))
        a.connect("stalled")
        await at_a.until(lambda r: r.changes == [("up", "stalled")])
        since_s = trio.current_time()
        sent = 0
        while a.send("stalled", bytes(1000)):
            sent += 1
        # What the kernel takes at once is not in the queue.
        assert 1000 <= sent < 30_000
        await trio.sleep(0.2)
        while a.send("stalled", bytes(10_000)):
            sent += 1
        assert a.metrics().link_messages_dropped >= 2
        await at_a.until(lambda r: r.changes[:2] == [("up", "stalled"), ("down", "stalled")])
        assert trio.current_time() - since_s < 3
        start_s = trio.current_time()
        await a.aclose()
        assert trio.current_time() - start_s < 1
        expected = [("up", "stalled"), ("down", "stalled")] * (len(at_a.changes) // 2)
        assert at_a.changes == expected
        nursery.cancel_scope.cancel()


async def test_a_peer_that_comes_to_us_is_dialled_at_once(cluster: Any, recorder: Any) -> None:
    """Else a node that joins, or comes back, waits out a pause that grew while it was away."""
    a = cluster.channel("a", config=PeerConfig(redial_min_s=30, redial_max_s=60))
    b = cluster.channel("b")
    at_a, at_b = recorder(), recorder()
    a.listen(at_a)
    b.listen(at_b)
    await cluster.start(a)
    a.connect("b")
    await trio.sleep(0.1)
    await cluster.start(b)
    b.connect("a")
    await at_a.until(lambda r: r.changes == [("up", "b")])


async def test_a_quiet_link_stays_up(cluster: Any, recorder: Any) -> None:
    config = PeerConfig(ping_interval_s=0.1, link_silence_s=0.4)
    a, b = cluster.channel("a", config=config), cluster.channel("b", config=config)
    at_a = recorder()
    a.listen(at_a)
    b.listen(recorder())
    await cluster.start(a, b)
    a.connect("b")
    await at_a.until(lambda r: r.changes == [("up", "b")])
    await trio.sleep(1.2)
    assert at_a.changes == [("up", "b")]


class Wire:
    """What a link dials, and what it gets: says when the pings went out."""

    has_unsent = False

    def __init__(self) -> None:
        self.pings_s: list[float] = []

    async def dial(self, node_id: str, purpose: str) -> Wire:
        return self

    def encode(self, message: Message) -> bytes:
        return b"ping" if isinstance(message, Ping) else b"message"

    def send_now(self, frame: bytes) -> bool:
        return True

    async def send_bytes(self, frames: bytes) -> None:
        if frames:
            assert frames == b"ping"
            self.pings_s.append(trio.current_time())

    async def receive(self) -> Message:
        await trio.sleep(1)
        return Pong()

    async def aclose(self) -> None: ...


async def test_a_link_is_pinged_only_when_nothing_else_was_said_for_a_while(autojump_clock: Any) -> None:
    wire, config = Wire(), PeerConfig()
    link = Link("b", cast(Dialler, wire), Services(), config, Counters(), random.Random(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(40):
            assert link.send({})
            await trio.sleep(0.9 * config.ping_interval_s / 2)
        assert wire.pings_s == []
        quiet_s = trio.current_time()
        await trio.sleep(10 * config.ping_interval_s)
        pauses_s = [at - before for before, at in zip([quiet_s, *wire.pings_s], wire.pings_s, strict=False)]
        assert len(pauses_s) in (9, 10, 11)
        assert max(pauses_s) <= config.ping_interval_s + 1e-6
        link.stop()


async def test_a_link_carries_thousands_of_messages_without_losing_one(
    cluster: Any, recorder: Any, record_property: Any
) -> None:
    """Of 300 bytes, as fast as it takes them."""
    a, b = cluster.channel("a"), cluster.channel("b")
    at_a, at_b = recorder(), recorder()
    a.listen(at_a)
    b.listen(at_b)
    await cluster.start(a, b)
    a.connect("b")
    await at_a.until(lambda r: r.changes == [("up", "b")])
    count = 10_000
    start_s = trio.current_time()
    for number in range(count):
        while not a.send("b", {"number": number, "entry": bytes(280)}):  # noqa: ASYNC110
            await trio.sleep(0.001)
    await at_b.until(lambda r: len(r.messages) == count, timeout_s=60)
    rate = count / (trio.current_time() - start_s)
    record_property("messages_per_s", rate)
    print(f"{rate:.0f} messages/s")
    assert [body["number"] for _, body in at_b.messages] == list(range(count))
