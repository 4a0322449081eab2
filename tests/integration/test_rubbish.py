"""Issue 2, bar 6: a client that sends rubbish harms nobody."""

from __future__ import annotations

import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import psutil
import pytest
import trio

from tests.support.cluster import API_PORT, PEER_PORT, Cluster, Node
from tests.support.event_clients import basic
from tests.support.waiting import wait_until_async

GROWTH_BYTES = 60 * 1024 * 1024
LATENCY_S = 5.0
"""Generous: the machine is shared, and the rubbish is made on the same two cores."""
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
Attack = Callable[[Cluster, Node], Awaitable[None]]


def noise(size: int) -> bytes:
    return random.randbytes(size)


async def udp_noise(cluster: Cluster, node: Node) -> None:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5000):
            await sender.sendto(noise(number % 1400), (node.address, PEER_PORT))
        for _ in range(100):
            await sender.sendto(noise(60_000), (node.address, PEER_PORT))


async def tcp_noise(port: int, cluster: Cluster, node: Node) -> None:
    async def one(size: int) -> None:
        with suppress(*BROKEN), trio.move_on_after(5):
            async with await trio.open_tcp_stream(node.address, port) as stream:
                await stream.send_all(noise(size))
                await stream.receive_some()

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(one, 1 + number * 997)


async def tls_junk(port: int, cluster: Cluster, node: Node) -> None:
    """A handshake that is right, then noise; and one that breaks off in its middle."""

    async def one(finish: bool) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(*BROKEN), trio.move_on_after(5):
            async with await trio.open_tcp_stream(node.address, port) as tcp:
                if finish:
                    stream = trio.SSLStream(tcp, context)
                    await stream.do_handshake()
                    for _ in range(20):
                        await stream.send_all(noise(65536))
                    await stream.receive_some()
                else:
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    with suppress(ssl.SSLWantReadError):
                        context.wrap_bio(incoming, outgoing).do_handshake()
                    hello = outgoing.read()
                    await tcp.send_all(hello[: len(hello) // 2])
                    await tcp.send_all(noise(500))
                    await tcp.receive_some()

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, number % 2 == 0)


async def wrong_json(cluster: Cluster, node: Node) -> None:
    bodies = [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"name": 1}',
        b"\xff\xfe",
        b'{"name": "' + b"x" * 1_000_000 + b'"}',
        b"1e999999",
    ]
    async with cluster.async_client(node.number, timeout_s=30) as client:
        for _ in range(5):
            for body in bodies:
                for path in ("/api/deploy", "/api/volumes/create", "/api/auth/login", "/api/scale"):
                    answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
                    assert answer.status_code == 400, (path, body[:20], answer.text)
                    assert answer.json()["success"] is False


async def large_bodies(chunked: bool, authorised: bool, cluster: Cluster, node: Node) -> None:
    """100 MB each: refused with 413 (or 401), by the announced length or when the limit is reached."""
    size = 100 * 1024 * 1024

    async def one() -> None:
        auth = f"Authorization: {basic(cluster)}\r\n" if authorised else ""
        how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        head = f"POST /api/deploy HTTP/1.1\r\nHost: x\r\n{auth}Content-Type: application/json\r\n{how}\r\n\r\n"
        async with await trio.open_tcp_stream(node.address, API_PORT) as stream:
            answer = bytearray()

            async def read() -> None:
                with suppress(*BROKEN):
                    async for data in stream:
                        answer.extend(data)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                piece = b" " * 65536
                framed = b"10000\r\n" + piece + b"\r\n" if chunked else piece
                with suppress(*BROKEN):
                    await stream.send_all(head.encode())
                    for _ in range(size // len(piece)):
                        await stream.send_all(framed)
                with trio.move_on_after(15):
                    await wait_until_async(_says(answer), 20, poll_s=0.02)
                nursery.cancel_scope.cancel()
            status = bytes(answer).split(b"\r\n")[0]
            assert status.startswith(b"HTTP/1.1 413" if authorised else b"HTTP/1.1 4"), bytes(answer)[:200]

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(one)


def _says(answer: bytearray) -> Callable[[], Awaitable[bool]]:
    async def anything() -> bool:
        return b"\r\n\r\n" in answer

    return anything


async def huge_heads(cluster: Cluster, node: Node) -> None:
    async def one(number: int) -> None:
        with suppress(*BROKEN), trio.move_on_after(10):
            async with await trio.open_tcp_stream(node.address, API_PORT) as stream:
                await stream.send_all(b"GET /api/apps HTTP/1.1\r\nHost: x\r\n")
                for _ in range(20):
                    await stream.send_all(b"X-Long: " + b"y" * 500_000 + (b"\r\n" if number % 2 else b""))
                await stream.receive_some()

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(one, number)


@asynccontextmanager
async def slow_clients(port: int, node: Node, count: int) -> AsyncIterator[None]:
    """Many connections that say a byte now and then, or nothing at all; they are there during the block."""

    async def one(number: int) -> None:
        while True:
            with suppress(*BROKEN):
                async with await trio.open_tcp_stream(node.address, port) as stream:
                    connected.append(number)
                    if number % 3 == 0:
                        await trio.sleep_forever()
                    for byte in b"GET /api/health HTTP/1.1\r\nX-Slow: " + b"y" * 1000:
                        await stream.send_all(bytes([byte]))
                        await trio.sleep(0.5)
            await trio.sleep(0.5)

    connected: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)

        async def all_there() -> bool:
            return len(set(connected)) == count

        await wait_until_async(all_there, 20, "all slow clients are connected")
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def served(cluster: Cluster, node: Node, latencies_s: list[float]) -> AsyncIterator[None]:
    """Another client, which must be answered all the while."""
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            async with cluster.async_client(node.number, timeout_s=20) as client:
                while True:
                    start_s = time.perf_counter()
                    answer = await client.get("/api/apps")
                    assert answer.status_code == 200, answer.text
                    latencies_s.append(time.perf_counter() - start_s)
                    await trio.sleep(0.05)

        nursery.start_soon(ask)
        yield
        nursery.cancel_scope.cancel()


def resident_bytes(node: Node) -> int:
    return int(psutil.Process(node.pid).memory_info().rss)


async def withstand(
    cluster: Cluster, name: str, work: Callable[[Node], Awaitable[None]], figure: Callable[[str], None]
) -> None:
    node = cluster.node(2)
    pid, before = node.pid, resident_bytes(node)
    latencies_s: list[float] = []
    async with served(cluster, node, latencies_s):
        while len(latencies_s) < 10:
            await work(node)
    assert node.is_running()
    assert node.pid == pid
    grown = resident_bytes(node) - before
    worst_ms = max(latencies_s, default=0) * 1000
    median_ms = sorted(latencies_s)[len(latencies_s) // 2] * 1000 if latencies_s else 0
    figure(
        f"bar 6, {name}: memory {grown / 2**20:+.1f} MiB to {resident_bytes(node) / 2**20:.0f} MiB;"
        f" others answered in {median_ms:.0f} ms (worst {worst_ms:.0f} ms)"
    )
    assert grown < GROWTH_BYTES
    assert worst_ms < LATENCY_S * 1000
    with cluster.client(2) as client:
        answer = client.post("/api/volumes/create", json={"name": f"after-{name.replace(' ', '-').lower()}"})
        assert answer.status_code == 201


ATTACKS: dict[str, Attack] = {
    "noise by UDP to the peer port": udp_noise,
    "noise by TCP to the peer port": partial(tcp_noise, PEER_PORT),
    "noise by TCP to the API": partial(tcp_noise, API_PORT),
    "TLS junk to the peer port": partial(tls_junk, PEER_PORT),
    "TLS junk to the API": partial(tls_junk, API_PORT),
    "wrong JSON": wrong_json,
    "bodies of 100 MB": partial(large_bodies, False, True),
    "bodies of 100 MB in chunks": partial(large_bodies, True, True),
    "bodies of 100 MB of strangers": partial(large_bodies, False, False),
    "huge heads": huge_heads,
}


@pytest.mark.parametrize("name", list(ATTACKS))
async def test_rubbish_harms_nobody(three: Cluster, name: str, figure: Callable[[str], None]) -> None:
    await withstand(three, name, lambda node: ATTACKS[name](three, node), figure)


@pytest.mark.parametrize("port", [API_PORT, PEER_PORT])
async def test_slow_and_silent_clients_harm_nobody(three: Cluster, port: int, figure: Callable[[str], None]) -> None:
    async def slowly(node: Node) -> None:
        async with slow_clients(port, node, 300):
            await trio.sleep(6)  # the time in which the others are asked

    await withstand(three, f"300 slow clients of port {port}", slowly, figure)


async def test_all_is_whole_afterwards(three: Cluster) -> None:
    assert all(node.is_running() for node in three.nodes)
    await trio.to_thread.run_sync(three.wait_ready, [1, 2, 3])
    logs = "".join(node.log.read_text() for node in three.nodes)
    assert "Traceback" not in logs
    assert len(os.listdir(f"/proc/{three.node(2).pid}/fd")) < 200
