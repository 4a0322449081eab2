"""Streams: bytes both ways, backpressure, half close, errors; remote and to oneself alike."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import trio

from hivemind.peer import PeerRefusal, PeerStream, PeerUnreachable


@pytest.fixture(params=["b", "a"], ids=["remote", "local"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def two(cluster: Any, **handlers: Any) -> Any:
    channels = [cluster.channel("a"), cluster.channel("b")]
    for channel in channels:
        for name, handler in handlers.items():
            channel.serve_stream(name, handler)
    await cluster.start(*channels)
    return channels[0]


async def test_half_close_both_ways(cluster: Any, target: str) -> None:
    async def digest(peer: str, request: Any, stream: PeerStream) -> None:
        total = hashlib.sha256()
        while data := await stream.receive():
            total.update(data)
        await stream.send(f"{peer} {request['name']} ".encode())
        await stream.send(total.digest())

    a = await two(cluster, digest=digest)
    payload = bytes(range(256)) * 8192
    with trio.fail_after(10):
        async with a.open_stream(target, "digest", {"name": "x"}) as stream:
            await stream.send(payload)
            await stream.send_eof()
            await stream.send_eof()
            answer = b""
            while data := await stream.receive():
                answer += data
            assert await stream.receive() == b""
            with pytest.raises(trio.ClosedResourceError):
                await stream.send(b"late")
    assert answer == b"a x " + hashlib.sha256(payload).digest()


async def test_a_reader_that_stalls_holds_the_sender_back(cluster: Any, target: str) -> None:
    sent = 0

    async def flood(peer: str, request: Any, stream: PeerStream) -> None:
        nonlocal sent
        for _ in range(640):
            await stream.send(bytes(65_536))
            sent += 65_536

    a = await two(cluster, flood=flood)
    with trio.fail_after(20):
        async with a.open_stream(target, "flood", None) as stream:
            await trio.sleep(0.5)
            stalled_at = sent
            assert stalled_at < 16 * 1024 * 1024
            await trio.sleep(0.2)
            assert sent == stalled_at
            received = 0
            while data := await stream.receive():
                received += len(data)
    assert received == 640 * 65_536


async def test_a_handler_s_refusal_reaches_the_reader(cluster: Any, target: str) -> None:
    async def refuse(peer: str, request: Any, stream: PeerStream) -> None:
        await stream.send(b"some")
        raise PeerRefusal("gone", "the container is gone")

    async def fail(peer: str, request: Any, stream: PeerStream) -> None:
        raise RuntimeError("bug")

    a = await two(cluster, refuse=refuse, fail=fail)
    with trio.fail_after(5):
        async with a.open_stream(target, "refuse", None) as stream:
            assert await stream.receive() == b"some"
            with pytest.raises(PeerRefusal, match="the container is gone"):
                await stream.receive()
        async with a.open_stream(target, "fail", None) as stream:
            with pytest.raises(PeerRefusal, match="internal"):
                await stream.receive()
        with pytest.raises(PeerRefusal, match="service nothing"):
            async with a.open_stream(target, "nothing", None):
                pass


async def test_a_client_that_leaves_ends_the_handler(cluster: Any, target: str, logs: Any) -> None:
    ended = trio.Event()

    async def endless(peer: str, request: Any, stream: PeerStream) -> None:
        try:
            while True:
                await stream.send(bytes(65_536))
        finally:
            ended.set()

    a = await two(cluster, endless=endless)
    with trio.fail_after(5):

        async def leave() -> None:
            async with a.open_stream(target, "endless", None) as stream:
                await stream.receive()
                raise KeyError

        with pytest.raises(KeyError):
            await leave()
        await ended.wait()
    assert not [entry for entry in logs if entry["log_level"] == "error"]


async def test_a_peer_that_dies_is_no_clean_end(cluster: Any) -> None:
    async def wait(peer: str, request: Any, stream: PeerStream) -> None:
        await stream.send(b"x")
        await trio.sleep_forever()

    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve_stream("wait", wait)
    await cluster.start(a, b)
    with trio.fail_after(5):
        async with a.open_stream("b", "wait", None) as stream:
            assert await stream.receive() == b"x"
            await b.aclose()
            with pytest.raises(PeerUnreachable):
                await stream.receive()


async def test_many_streams_at_once(cluster: Any) -> None:
    async def echo(peer: str, request: Any, stream: PeerStream) -> None:
        while data := await stream.receive():
            await stream.send(data)

    a = await two(cluster, echo=echo)
    done = []

    async def one(number: int) -> None:
        async with a.open_stream("b", "echo", None) as stream:
            await stream.send(b"%d" % number)
            await stream.send_eof()
            done.append(int(await stream.receive()))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(one, number)
    assert sorted(done) == list(range(150))


async def test_closing_is_quick_with_a_stalled_reader(cluster: Any) -> None:
    async def flood(peer: str, request: Any, stream: PeerStream) -> None:
        while True:
            await stream.send(bytes(65_536))

    a, b = cluster.channel("a"), cluster.channel("b")
    b.serve_stream("flood", flood)
    await cluster.start(a, b)
    async with a.open_stream("b", "flood", None):
        await trio.sleep(0.3)
        start_s = trio.current_time()
        await b.aclose()
        assert trio.current_time() - start_s < 1
