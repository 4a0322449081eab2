"""Calls between channels over mutual TLS."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import trio

from hivemind.peer import (
    FrameTooLarge,
    PeerConfig,
    PeerRefusal,
    PeerTimeout,
    PeerUnreachable,
    PeerUntrusted,
)
from hivemind.peer.ca import ClusterCA
from hivemind.peer.errors import PeerIncompatible
from hivemind.peer.hello import Self

DAY_S = 86_400


async def echo(peer: str, body: Any) -> Any:
    return {"peer": peer, "body": body}


async def test_every_node_calls_every_node_and_itself(cluster: Any) -> None:
    channels = [cluster.channel(f"n{i}") for i in range(3)]
    for channel in channels:
        channel.serve("echo", echo)
    await cluster.start(*channels)
    body = {"text": "ä", "raw": b"\x00\xff", "list": [1, -2, 1.5, None, True], "map": {1: "x"}}
    for channel in channels:
        for other in channels:
            answer = await channel.call(other.node_id, "echo", body, timeout_s=5)
            assert answer == {"peer": channel.node_id, "body": body}
    metrics = channels[0].metrics()
    assert (metrics.calls, metrics.calls_served) == (3, 2)
    assert (metrics.open_inbound, metrics.open_outbound, metrics.refused) == (2, 2, 0)
    assert metrics.bytes_in > 0
    assert metrics.frames_out > 0


async def test_a_call_to_oneself_is_copied_as_a_remote_one(cluster: Any) -> None:
    channel = cluster.channel("n1")
    channel.serve("echo", echo)
    await cluster.start(channel)
    body = {"tuple": (1, 2)}
    assert (await channel.call("n1", "echo", body, timeout_s=1))["body"] == {"tuple": [1, 2]}
    with pytest.raises(PeerRefusal, match="no service nothing"):
        await channel.call("n1", "nothing", None, timeout_s=1)


async def test_refusals_travel_and_bugs_become_internal(cluster: Any, logs: Any, eventually: Any) -> None:
    async def refuse(peer: str, body: Any) -> Any:
        raise PeerRefusal("quota_exceeded", "no more")

    async def fail(peer: str, body: Any) -> Any:
        raise KeyError("secret detail")

    async def odd(peer: str, body: Any) -> Any:
        return object()

    async def huge(peer: str, body: Any) -> Any:
        return bytes(2_000_000)

    config = PeerConfig(max_frame_bytes=1_000_000)
    a, b = cluster.channel("a", config=config), cluster.channel("b", config=config)
    for name, handler in (("refuse", refuse), ("fail", fail), ("odd", odd), ("huge", huge), ("echo", echo)):
        b.serve(name, handler)
    await cluster.start(a, b)
    for service, code in (
        ("refuse", "quota_exceeded"),
        ("fail", "internal"),
        ("odd", "internal"),
        ("huge", "too_large"),
        ("none", "unknown_service"),
    ):
        with pytest.raises(PeerRefusal) as caught:
            await a.call("b", service, None, timeout_s=5)
        assert caught.value.code == code
        assert "secret detail" not in str(caught.value)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
        "peer_handler_failed",
        "peer_answer_not_plain",
    ]
    with pytest.raises(FrameTooLarge):
        await a.call("b", "echo", bytes(2_000_000), timeout_s=5)
    assert await a.call("b", "echo", 1, timeout_s=5) == {"peer": "a", "body": 1}
    assert b.metrics().open_inbound == 1


async def test_500_calls_at_once_share_one_connection(cluster: Any) -> None:
    running = peak = 0

    async def slow(peer: str, body: Any) -> Any:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await trio.sleep(0.01)
        running -= 1
        return body

    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve("slow", slow)
    await cluster.start(a, b)
    answers: dict[int, int] = {}

    async def one(number: int) -> None:
        answers[number] = await a.call("b", "slow", number, timeout_s=10)

    async with trio.open_nursery() as nursery:
        for number in range(500):
            nursery.start_soon(one, number)
    assert answers == {number: number for number in range(500)}
    assert b.metrics().accepted == 1
    assert 1 < peak <= PeerConfig().max_handlers_per_connection


async def test_a_cancelled_or_timed_out_call_is_cancelled_there(cluster: Any) -> None:
    entered, left = trio.Event(), trio.Event()

    async def wait(peer: str, body: Any) -> Any:
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            left.set()

    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve("wait", wait)
    b.serve("echo", echo)
    await cluster.start(a, b)
    with pytest.raises(PeerTimeout) as caught:
        await a.call("b", "wait", None, timeout_s=0.3)
    assert caught.value.ambiguous
    assert entered.is_set()
    with trio.fail_after(2):
        await left.wait()
    entered, left = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: a.call("b", "wait", None, timeout_s=30))
        await entered.wait()
        nursery.cancel_scope.cancel()
    with trio.fail_after(2):
        await left.wait()
    assert (await a.call("b", "echo", 1, timeout_s=5))["body"] == 1


async def test_unreachable_says_whether_it_may_have_been_handled(cluster: Any) -> None:
    entered = trio.Event()

    async def wait(peer: str, body: Any) -> Any:
        entered.set()
        await trio.sleep_forever()

    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve("wait", wait)
    await cluster.start(a, b)
    with pytest.raises(PeerUnreachable, match="address is not known") as caught:
        await a.call("ghost", "echo", None, timeout_s=1)
    assert not caught.value.ambiguous

    async with trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(PeerUnreachable) as lost:
                await a.call("b", "wait", None, timeout_s=10)
            assert lost.value.ambiguous

        nursery.start_soon(call)
        await entered.wait()
        await b.aclose()
    with pytest.raises(PeerUnreachable, match="cannot connect to 127") as caught:
        await a.call("b", "echo", None, timeout_s=1)
    assert not caught.value.ambiguous
    b = cluster.channel("b")
    b.serve("echo", echo)
    await cluster.start(b)
    assert (await a.call("b", "echo", 2, timeout_s=5))["body"] == 2


async def test_a_black_hole_is_a_timely_error(cluster: Any) -> None:
    a = cluster.channel("a", config=PeerConfig(connect_timeout_s=0.3))
    await cluster.start(a)
    (hole,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with hole:
        cluster.addresses["hole"] = hole.socket.getsockname()
        start_s = trio.current_time()
        with pytest.raises(PeerUnreachable, match=r"within 0\.3 s"):
            await a.call("hole", "echo", None, timeout_s=5)
        assert trio.current_time() - start_s < 1


async def test_calls_to_a_peer_that_stops_reading_all_end(cluster: Any, stalled_peer: Any) -> None:
    """Some are on the wire, some wait in the queue, some for room in it: none may hang."""
    a = cluster.channel("a", config=PeerConfig(rpc_silence_s=0.5, ping_interval_s=0.2))
    await cluster.start(a)
    outcomes: list[bool] = []

    async def one() -> None:
        with pytest.raises(PeerUnreachable, match="silent") as caught:
            await a.call("stalled", "echo", bytes(1_000_000), timeout_s=20)
        outcomes.append(caught.value.ambiguous)

    async with trio.open_nursery() as peers:
        cluster.addresses["stalled"] = await peers.start(stalled_peer, cluster.identity("stalled"))
        with trio.fail_after(5):
            async with trio.open_nursery() as callers:
                for _ in range(30):
                    callers.start_soon(one)
        peers.cancel_scope.cancel()
    assert outcomes.count(True) >= 1
    assert outcomes.count(False) >= 1


async def test_a_connection_on_which_a_call_was_given_up_is_not_kept_for_the_next(
    cluster: Any, stalled_peer: Any, eventually: Any
) -> None:
    """As in a partition, where calls are short: it stayed, and when the network was back the next calls waited for
    the kernel, that sends again what was lost ever more rarely, or for the silence."""
    a = cluster.channel("a", config=PeerConfig(rpc_silence_s=0.5, ping_interval_s=0.1))
    await cluster.start(a)
    async with trio.open_nursery() as peers:
        cluster.addresses["b"] = await peers.start(stalled_peer, cluster.identity("b"))
        with pytest.raises(PeerTimeout):
            await a.call("b", "echo", 1, timeout_s=0.2)
        await eventually(lambda: a.metrics().open_outbound == 0)
        peers.cancel_scope.cancel()
    b = cluster.channel("b")
    b.serve("echo", echo)
    await cluster.start(b)
    await a.call("b", "echo", 1, timeout_s=5)


async def test_idle_connections_are_closed_and_dialled_again(cluster: Any, eventually: Any) -> None:
    config = PeerConfig(rpc_idle_s=0.3, ping_interval_s=0.1, link_silence_s=1)
    a, b = cluster.channel("a", config=config), cluster.channel("b")
    b.serve("echo", echo)
    await cluster.start(a, b)
    await a.call("b", "echo", 1, timeout_s=5)
    await eventually(lambda: b.metrics().open_inbound == 0)
    assert a.metrics().open_outbound == 0
    await a.call("b", "echo", 1, timeout_s=5)
    assert b.metrics().accepted == 2


async def test_a_certificate_of_another_ca_is_refused_with_words_on_both_sides(
    cluster: Any, logs: Any, eventually: Any
) -> None:
    """Both sides hold the same cluster id; only the CA differs."""
    twin = ClusterCA.make("alpha", now_s=time.time())
    a = cluster.channel("a", identity=cluster.identity("a", ca=twin))
    b = cluster.channel("b")
    b.serve("echo", echo)
    await cluster.start(a, b)
    with pytest.raises(PeerUntrusted, match="its certificate") as caught:
        await a.call("b", "echo", None, timeout_s=5)
    assert not caught.value.ambiguous
    await eventually(lambda: b.metrics().refused == 1)
    assert "it does not know our certificate's CA" in reasons(logs) or "could not verify" in reasons(logs)
    logs.clear()
    # A client that takes anybody's certificate still cannot make the server take its own.
    both = cluster.identity("a", ca=twin)
    gullible = msgspec.structs.replace(both, ca_pems=(*both.ca_pems, cluster.ca.certificate_pem))
    await a.aclose()
    c = cluster.channel("a", identity=gullible)
    await cluster.start(c)
    with pytest.raises(PeerUntrusted, match="our certificate"):
        await c.call("b", "echo", None, timeout_s=5)
    await eventually(lambda: b.metrics().refused == 2)
    assert "another cluster" in reasons(logs)
    assert b.metrics().calls_served == 0
    assert b.metrics().handshakes_failed == 2


async def test_expired_certificates_are_refused_on_both_sides(cluster: Any, logs: Any, eventually: Any) -> None:
    expired = cluster.identity("a", age_s=10 * DAY_S, lifetime_s=5 * DAY_S)
    a, b = cluster.channel("a", identity=expired), cluster.channel("b")
    a.serve("echo", echo)
    b.serve("echo", echo)
    await cluster.start(a, b)
    with pytest.raises(PeerUntrusted, match="our certificate has expired: join again"):
        await a.call("b", "echo", None, timeout_s=5)
    await eventually(lambda: b.metrics().refused == 1)
    assert "its certificate has expired" in reasons(logs)
    with pytest.raises(PeerUntrusted, match="its certificate has expired"):
        await b.call("a", "echo", None, timeout_s=5)
    await eventually(lambda: a.metrics().refused == 1)
    assert "our certificate has expired" in reasons(logs)


async def test_another_cluster_under_a_shared_ca_is_refused(cluster: Any, logs: Any, eventually: Any) -> None:
    """The same CA key signs for two cluster ids: the names decide, not only the chain."""
    beta = ClusterCA.make("beta", now_s=time.time())
    identity = cluster.identity("a", ca=beta)
    trusting = msgspec.structs.replace(identity, ca_pems=(*identity.ca_pems, cluster.ca.certificate_pem))
    us = cluster.identity("b")
    a = cluster.channel("a", identity=trusting)
    b = cluster.channel("b", identity=msgspec.structs.replace(us, ca_pems=trusting.ca_pems))
    b.serve("echo", echo)
    await cluster.start(a, b)
    with pytest.raises(PeerUntrusted, match="the certificate is of cluster beta, not of alpha"):
        await a.call("b", "echo", None, timeout_s=5)
    await eventually(lambda: b.metrics().refused == 1)
    assert "the certificate is of cluster beta, not of alpha" in reasons(logs)


async def test_a_node_under_a_wrong_name_is_refused(cluster: Any, logs: Any, eventually: Any) -> None:
    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve("echo", echo)
    await cluster.start(a, b)
    cluster.addresses["c"] = b.address
    with pytest.raises(PeerUntrusted, match="the node at its address is b"):
        await a.call("c", "echo", None, timeout_s=5)
    await eventually(lambda: "it refused us: the node at its address is b" in reasons(logs))
    a._trust.us = Self(node_id="z", cluster_id="alpha")
    with pytest.raises(PeerUntrusted, match="the certificate is for a, the hello says z"):
        await a.call("b", "echo", None, timeout_s=5)
    await eventually(lambda: b.metrics().refused == 1)
    assert "the certificate is for a, the hello says z" in reasons(logs)


async def test_no_version_in_common_is_said(cluster: Any, logs: Any, eventually: Any) -> None:
    a, b = cluster.channel("a"), cluster.channel("b")
    await cluster.start(a, b)
    a._trust.us = Self(node_id="a", cluster_id="alpha", min_version=7, max_version=9)
    with pytest.raises(PeerIncompatible, match="you speak protocol versions 7 to 9, b speaks 1 to 1"):
        await a.call("b", "echo", None, timeout_s=5)
    await eventually(lambda: b.metrics().refused == 1)
    assert "protocol versions 7 to 9" in reasons(logs)


async def test_a_renewed_identity_is_used_without_dropping_connections(cluster: Any) -> None:
    a, b = cluster.channel("a"), cluster.channel("b")
    a.serve("echo", echo)
    b.serve("echo", echo)
    await cluster.start(a, b)
    await a.call("b", "echo", 1, timeout_s=5)
    new_ca = ClusterCA.make("alpha", now_s=time.time())
    for channel in (a, b):
        renewed = cluster.identity(channel.node_id, ca=new_ca)
        both = (cluster.ca.certificate_pem, new_ca.certificate_pem)
        channel.use(msgspec.structs.replace(renewed, ca_pems=both))
    await a.call("b", "echo", 1, timeout_s=5)
    assert b.metrics().accepted == 1
    await b.call("a", "echo", 1, timeout_s=5)
    with pytest.raises(PeerUntrusted):
        a.use(cluster.identity("b"))


def reasons(logs: Any) -> str:
    return "\n".join(str(entry.get("reason")) for entry in logs)
