"""TLS over a socket: sent at once, in order, whatever the kernel takes; the end and its kinds."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from hivemind.peer.tls_stream import TlsStream


@pytest.fixture
async def ends(cluster: Any) -> AsyncIterator[tuple[TlsStream, TlsStream]]:
    """Client and server, shaken hands."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        tcp = await trio.open_tcp_stream(*listener.socket.getsockname())
        client = TlsStream(tcp, cluster.identity("a").client_context())
        server = TlsStream(await listener.accept(), cluster.identity("b").server_context(), server_side=True)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
    yield client, server
    await client.aclose()
    await server.aclose()


async def read(stream: TlsStream, count: int) -> bytes:
    data = b""
    with trio.fail_after(5):
        while len(data) < count:
            data += await stream.receive_some()
    return data


async def test_a_message_is_sent_without_a_turn_of_the_loop(ends: tuple[TlsStream, TlsStream]) -> None:
    client, server = ends
    assert client.send_now(b"one")
    assert client.send_now(b"two")
    assert not client.has_unsent
    assert await read(server, 6) == b"onetwo"
    await server.send_all(b"back")
    assert await read(client, 4) == b"back"


async def test_what_the_kernel_does_not_take_goes_before_what_follows(ends: tuple[TlsStream, TlsStream]) -> None:
    client, server = ends
    sent = b""
    for number in range(100_000):
        piece = b"%08d" % number * 1000
        assert client.send_now(piece)
        sent += piece
        if client.has_unsent:
            break
    assert not client.send_now(b"refused")
    with trio.move_on_after(0.05) as scope:
        await client.send_all(b"cancelled, and still sent.")
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"last")
        whole = sent + b"cancelled, and still sent." + b"last"
        assert await read(server, len(whole)) == whole


async def test_an_end_without_a_goodbye_is_an_end(ends: tuple[TlsStream, TlsStream]) -> None:
    client, server = ends
    client.send_now(b"bye")
    await client.aclose()
    assert await read(server, 3) == b"bye"
    assert await server.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        client.send_now(b"x")


async def test_rubbish_breaks_it(ends: tuple[TlsStream, TlsStream]) -> None:
    client, server = ends
    await client.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.receive_some()
    assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_closing_ends_a_read_under_way(ends: tuple[TlsStream, TlsStream]) -> None:
    client, _ = ends
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.receive_some()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
