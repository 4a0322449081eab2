"""Rubbish of all kinds: bounded memory, the listener lives, others are served (issue 2, bar 6)."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
import trio

from hivemind.peer import PeerConfig
from hivemind.peer.frames import pack_frame
from hivemind.peer.messages import Hello, Request, Welcome, decode_payload, encode_frame

QUICK = PeerConfig(handshake_timeout_s=0.5, max_handshakes=40, max_handshakes_per_address=30)


async def echo(peer: str, body: Any) -> Any:
    return body


async def served(cluster: Any, config: PeerConfig = QUICK) -> tuple[Any, Any]:
    a, b = cluster.channel("a"), cluster.channel("b", config=config)
    b.serve("echo", echo)
    b.listen(Silent())
    await cluster.start(a, b)
    assert await a.call("b", "echo", 1, timeout_s=5) == 1
    return a, b


class Silent:
    def message(self, node_id: str, body: Any) -> None: ...
    def up(self, node_id: str) -> None: ...
    def down(self, node_id: str) -> None: ...


@asynccontextmanager
async def tls(channel: Any, identity: Any = None) -> AsyncIterator[Any]:
    """A TLS connection with the identity's certificate, or with none; checks nothing."""
    context = identity.client_context() if identity else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = trio.SSLStream(await trio.open_tcp_stream(*channel.address), context, https_compatible=True)
    try:
        await stream.do_handshake()
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def until_closed(stream: Any) -> bytes:
    """What still comes until the other side closes."""
    data = b""
    with trio.fail_after(5):
        try:
            while chunk := await stream.receive_some():
                data += chunk
        except trio.BrokenResourceError:
            pass
    return data


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\x00" * 100_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000],
    ids=["nothing", "zeros", "http", "tls-like"],
)
async def test_what_is_not_tls_is_closed_in_time(cluster: Any, rubbish: bytes, eventually: Any) -> None:
    a, b = await served(cluster)
    async with await trio.open_tcp_stream(*b.address) as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(rubbish)
        await until_closed(stream)
    assert await a.call("b", "echo", 2, timeout_s=5) == 2
    await eventually(lambda: b.metrics().handshakes_failed == 1)


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x80\x00\x00" + b"x" * 1000,
        pack_frame(b"\xc1" * 30),
        pack_frame(b"\x91" * 60_000),
        encode_frame(Request(1, "echo", None), 1000),
        encode_frame(Hello(1, 1, "a", "alpha", "rpc"), 1000),
        encode_frame(Hello(1, 1, "a", "alpha", "join"), 1000) * 3,
    ],
    ids=["slow", "huge", "empty", "8MiB", "not-msgpack", "deep", "no-hello", "no-certificate", "join-hellos"],
)
async def test_strangers_get_nowhere(cluster: Any, frames: bytes) -> None:
    a, b = await served(cluster)
    async with tls(b) as stream:
        if frames:
            await stream.send_all(frames)
        await until_closed(stream)
    assert await a.call("b", "echo", 2, timeout_s=5) == 2
    assert b.metrics().calls_served == 2


@pytest.mark.parametrize("kind", ["rpc", "link"])
async def test_a_member_s_rubbish_ends_only_its_connection(cluster: Any, kind: Any) -> None:
    a, b = await served(cluster)
    for frames in (
        b"\xff\xff\xff\xff",
        pack_frame(b"\x91" * 100_000),
        encode_frame(Welcome(1, "x", "y"), 1000),
        os.urandom(100_000),
    ):
        async with tls(b, cluster.identity("m")) as stream:
            await stream.send_all(encode_frame(Hello(1, 1, "m", "alpha", kind), 1000))
            answer = await stream.receive_some()
            assert isinstance(decode_payload(answer[4:]), Welcome)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(frames)
            await until_closed(stream)
    assert await a.call("b", "echo", 2, timeout_s=5) == 2


async def test_a_flood_of_slow_strangers_costs_bounded_memory(cluster: Any, eventually: Any) -> None:
    a, b = await served(cluster)
    process = psutil.Process()
    before = process.memory_info().rss
    streams = []
    for number in range(300):
        try:
            stream = await trio.open_tcp_stream(*b.address)
            streams.append(stream)
            await stream.send_all(b"\x16\x03\x01\x40\x00" + bytes([number % 256]) * 16_000)
        except (OSError, trio.BrokenResourceError):
            continue
    await eventually(lambda: b.metrics().accepted >= 300)
    assert b.metrics().open_inbound <= 31
    assert process.memory_info().rss - before < 40 * 1024 * 1024
    assert await a.call("b", "echo", 2, timeout_s=5) == 2
    await eventually(lambda: b.metrics().open_inbound == 1)
    for stream in streams:
        await trio.aclose_forcefully(stream)
    c = cluster.channel("c")
    await cluster.start(c)
    assert await c.call("b", "echo", 3, timeout_s=5) == 3


async def test_a_half_sent_frame_of_a_stranger_is_not_kept(cluster: Any) -> None:
    _, b = await served(cluster)
    async with tls(b) as stream:
        await stream.send_all(b"\x00\x00\xff\xff" + b"x" * 1000)
        start_s = trio.current_time()
        await until_closed(stream)
        assert trio.current_time() - start_s < 2


async def test_errors_of_accept_are_waited_out(cluster: Any, monkeypatch: pytest.MonkeyPatch, logs: Any) -> None:
    """Out of file descriptors: the listener waits and goes on (PySyncObj's closes for good)."""
    failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EPROTO, "odd")]
    accept = trio.SocketListener.accept

    async def failing_accept(self: trio.SocketListener) -> trio.SocketStream:
        if failures:
            raise failures.pop()
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", failing_accept)
    await served(cluster)
    assert [entry["event"] for entry in logs].count("peer_accept_failed") == 2
