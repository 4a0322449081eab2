"""What must hold on real sockets: design.md §9, (a) to (e), and issue 2's bar 6."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from api.deps import LogLine
from api.serve import ServeConfig, serve
from api.volume_gateway import VolumeContents
from consensus import commands
from consensus.model.volume import Volume

QUICK = ServeConfig(
    idle_timeout_s=0.3, head_timeout_s=0.3, drain_timeout_s=0.5, send_timeout_s=0.4, head_limit_bytes=8192, grace_s=3.0
)


class Server:
    def __init__(self, address: tuple[str, int], shutdown: trio.Event) -> None:
        self.address = address
        self.shutdown = shutdown
        self.ended = trio.Event()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self.address)


@asynccontextmanager
async def serving(app: Any, config: ServeConfig = QUICK) -> AsyncIterator[Server]:
    """Serves on loopback; the shutdown must end by itself."""
    shutdown = trio.Event()

    async def run(*, task_status: Any) -> None:
        await serve(app, bind=[("127.0.0.1", 0)], shutdown=shutdown, config=config, task_status=task_status)
        server.ended.set()

    async with trio.open_nursery() as nursery:
        server = Server(("", 0), shutdown)
        (server.address,) = await nursery.start(run)
        yield server
        shutdown.set()
        with trio.fail_after(config.grace_s + 10):
            await server.ended.wait()


async def test_an_upload_comes_no_faster_than_it_is_read_and_may_be_of_any_length(world: Any) -> None:
    """What nobody reads waits at the client's side."""
    size = 40 * 1024 * 1024
    gate = trio.Event()
    taken = 0

    async def restore(node_id: str, name: str, pieces: AsyncIterator[bytes]) -> VolumeContents:
        nonlocal taken
        await gate.wait()
        async for piece in pieces:
            assert len(piece) <= 2 * 1024 * 1024
            taken += len(piece)
        return VolumeContents(taken, 1)

    world.volumes.restore = restore
    await world.propose(commands.CreateVolume(volume=Volume(name="v", created_at_s=0)))
    headers = "".join(f"{k}: {v}\r\n" for k, v in (await world.login()).items())
    head = f"PUT /api/volumes/v/restore HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{headers}\r\n"
    async with serving(world.app, ServeConfig()) as server, await server.connect() as stream:
        sent = 0
        with trio.move_on_after(1.0):
            await stream.send_all(head.encode())
            while sent < size:
                await stream.send_all(bytes(65536))
                sent += 65536
        assert sent < size / 2, "nobody reads it, so it waits on the client's side"
        gate.set()
        # The piece that was cut short by the pause may have gone in part: the client is done with this connection.
        with trio.fail_after(20):
            while taken < sent - 65536:  # noqa: ASYNC110
                await trio.sleep(0.01)


class Reader:
    """Answers from one connection, by content-length or to the end of the stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.buffer = b""

    async def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers

    async def answer(self) -> tuple[int, Any]:
        status, headers = await self.head()
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            await self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, json.loads(body)

    async def until(self, text: bytes) -> bytes:
        while text not in self.buffer:
            await self._more()
        before, _, self.buffer = self.buffer.partition(text)
        return before

    async def to_end(self) -> bytes:
        while data := await self._stream.receive_some():
            self.buffer += data
        return self.buffer

    async def _more(self) -> None:
        data = await self._stream.receive_some()
        assert data, f"closed after {self.buffer!r}"
        self.buffer += data


def request(method: str, path: str, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_an_answer_before_the_body_was_read_keeps_the_connection(world: Any) -> None:
    """(a): a 401 to a POST whose body comes later; the same connection then serves another request."""
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(5):
            await stream.send_all(request("POST", "/api/deploy", {"content-length": "10"}))
            status, body = await reader.answer()
            assert (status, body["error"]["code"]) == (401, "authentication_failed")
            await stream.send_all(b"0123456789" + request("GET", "/api/health"))
            assert (await reader.answer())[0] == 200


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/api/nothing", 404), ("PUT", "/api/health", 405)])
async def test_early_404_and_405_keep_the_connection(world: Any, method: str, path: str, status: int) -> None:
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(5):
            for _ in range(3):
                await stream.send_all(request(method, path, {"content-length": "4"}) + b"body")
                assert (await reader.answer())[0] == status


async def test_an_idle_connection_is_closed_after_a_request(world: Any) -> None:
    """(b): also after a request with a body that was read."""
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(5):
            await stream.send_all(request("GET", "/api/health"))
            assert (await reader.answer())[0] == 200
            start_s = trio.current_time()
            assert await reader.to_end() == b""
            assert 0.2 < trio.current_time() - start_s < 2


async def test_a_silent_connection_is_closed_and_a_slow_head_is_answered_408(world: Any) -> None:
    """Slowloris: a byte now and then does not keep a connection."""
    async with serving(world.app) as server:
        with trio.fail_after(5):
            async with await server.connect() as silent:
                assert await Reader(silent).to_end() == b""
            async with await server.connect() as slow:
                sent = 0

                async def trickle() -> None:
                    nonlocal sent
                    for byte in request("GET", "/api/health", {"x-long": "y" * 100}):
                        await slow.send_all(bytes([byte]))
                        sent += 1
                        await trio.sleep(0.05)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trickle)
                    status, body = await Reader(slow).answer()
                    nursery.cancel_scope.cancel()
                assert (status, body["error"]["code"]) == (408, "request_timeout")
                assert sent < 20


async def test_limits_of_head_and_body(make_world: Any) -> None:
    world = make_world(body_limit_bytes=1000)
    await world.found()
    auth = await world.login()
    async with serving(world.app) as server:
        with trio.fail_after(10):
            async with await server.connect() as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nx: " + b"y" * 10000)
                assert (await Reader(stream).answer())[0] == 431
            async with await server.connect() as stream:
                reader = Reader(stream)
                await stream.send_all(request("POST", "/api/deploy", {**auth, "content-length": "1001"}))
                status, body = await reader.answer()
                assert (status, body["error"]["code"]) == (413, "payload_too_large")
                await stream.send_all(b"x" * 1001 + request("GET", "/api/health"))
                assert (await reader.answer())[0] == 200
            async with await server.connect() as stream:
                reader = Reader(stream)
                await stream.send_all(request("POST", "/api/deploy", {**auth, "transfer-encoding": "chunked"}))
                for _ in range(3):
                    await stream.send_all(b"200\r\n" + b"x" * 512 + b"\r\n")
                assert (await reader.answer())[0] == 413
                await stream.send_all(b"0\r\n\r\n" + request("GET", "/api/health"))
                assert (await reader.answer())[0] == 200


async def test_a_huge_body_is_thrown_away_as_it_comes(world: Any) -> None:
    auth = await world.login()
    before = resident_bytes()
    async with serving(world.app, ServeConfig()) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(20):
            size = 100 * 1024 * 1024
            await stream.send_all(request("POST", "/api/deploy", {**auth, "content-length": str(size)}))
            block = bytes(1024 * 1024)
            for _ in range(100):
                await stream.send_all(block)
            assert (await reader.answer())[0] == 413
            await stream.send_all(request("GET", "/api/health"))
            assert (await reader.answer())[0] == 200
    grown = resident_bytes() - before
    assert grown < 20 * 1024 * 1024


async def test_a_client_that_asks_first_is_not_told_to_send_too_much(make_world: Any) -> None:
    world = make_world(body_limit_bytes=1000)
    await world.found()
    auth = await world.login()
    async with serving(world.app) as server:
        with trio.fail_after(5):
            async with await server.connect() as stream:
                headers = {**auth, "expect": "100-continue", "content-length": "5000"}
                await stream.send_all(request("POST", "/api/deploy", headers))
                reader = Reader(stream)
                status, told = await reader.head()
                assert (status, told["connection"]) == (413, "close")
            async with await server.connect() as stream:
                headers = {**auth, "expect": "100-continue", "content-length": "2"}
                await stream.send_all(request("POST", "/api/scale", headers))
                reader = Reader(stream)
                assert (await reader.head())[0] == 100
                await stream.send_all(b"{}")
                assert (await reader.answer())[0] == 400


@pytest.mark.parametrize(
    "rubbish",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), b"\r\n" * 5 + b"nonsense\r\n\r\n"],
)
async def test_rubbish_is_answered_or_closed_and_harms_nobody(world: Any, rubbish: bytes) -> None:
    async with serving(world.app) as server:
        with trio.fail_after(5):
            async with await server.connect() as stream:
                await stream.send_all(rubbish)
                assert b" 400 " in await Reader(stream).to_end()
            for line in (b"GET ?x HTTP/1.1", b"GET * HTTP/1.1", b"FOO /api/apps HTTP/1.1", b"GET /api/%00%ff HTTP/1.1"):
                async with await server.connect() as stream:
                    await stream.send_all(line + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
                    assert (await Reader(stream).to_end()).startswith(b"HTTP/1.1 4"), line
            async with await server.connect() as stream:
                await stream.send_all(request("GET", "/api/health"))
                assert (await Reader(stream).answer())[0] == 200


async def test_a_stalled_reader_is_cut_and_does_not_block_the_shutdown(world: Any) -> None:
    """(c): the answer is larger than the sockets' buffers, and the client reads nothing."""
    auth = await world.login()
    (task_id,) = await world.deploy(replicas=1)
    world.containers.lines = [LogLine("stdout", 0.0, "x" * 1000)] * 7000
    config = ServeConfig(send_timeout_s=60, grace_s=0.5)
    async with serving(world.app, config) as server:
        stream = await server.connect()
        await stream.send_all(request("GET", f"/api/containers/{task_id}/logs", auth))
        await trio.sleep(0.2)
        server.shutdown.set()
        with trio.fail_after(10):
            await server.ended.wait()
        await stream.aclose()
    async with serving(world.app, QUICK) as server:
        stream = await server.connect()
        await stream.send_all(request("GET", f"/api/containers/{task_id}/logs?follow=true", auth))
        with trio.fail_after(5):
            await world.containers.opened.wait()
            await world.containers.ended.wait()
        await stream.aclose()


async def test_a_request_in_flight_is_finished_and_new_ones_are_not_taken(world: Any) -> None:
    auth = await world.login()
    go_on = trio.Event()

    async with serving(world.app) as server, await server.connect() as stream, await server.connect() as idle:
        world.cluster.read_barrier = go_on.wait
        await stream.send_all(request("GET", "/api/apps?consistent=true", auth))
        await trio.sleep(0.1)
        server.shutdown.set()
        with trio.fail_after(2):
            assert await Reader(idle).to_end() == b""
            with pytest.raises(OSError, match=r"127\.0\.0\.1"):
                await server.connect()
            go_on.set()
            reader = Reader(stream)
            assert (await reader.answer())[0] == 200
            assert await reader.to_end() == b""


async def test_shutdown_ends_streams_with_a_reason(world: Any) -> None:
    auth = await world.login()
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        await stream.send_all(request("GET", "/api/stream/events", auth))
        with trio.fail_after(2):
            assert (await reader.head())[0] == 200
            await reader.until(b"id: e1.")
            server.shutdown.set()
            assert b"closed, going away" in await reader.to_end()


async def test_a_connection_is_kept_for_as_many_requests_as_its_client_likes(world: Any) -> None:
    """hypercorn closes one after 1000 requests, without a word to who sends the next."""
    async with serving(world.app, ServeConfig()) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(60):
            for _ in range(11):
                await stream.send_all(request("GET", "/api/nothing") * 100)
                for _ in range(100):
                    assert (await reader.answer())[0] == 404


async def test_a_client_that_goes_ends_what_it_waited_for(world: Any) -> None:
    """Also one whose request has a body that nobody has read, and that is still coming."""
    auth = await world.login()
    ended, reached = trio.Event(), trio.Event()

    async def barrier() -> None:
        reached.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    world.cluster.read_barrier = barrier
    body = {"transfer-encoding": "chunked"}
    async with serving(world.app) as server:
        for headers, sent in ((auth, b""), ({**auth, **body}, b"4\r\nbody\r\n")):
            ended, reached = trio.Event(), trio.Event()
            stream = await server.connect()
            await stream.send_all(request("GET", "/api/apps?consistent=true", headers) + sent)
            with trio.fail_after(5):
                await reached.wait()
                await trio.aclose_forcefully(stream)
                await ended.wait()


async def test_an_answer_ends_the_wait_of_a_body_that_nobody_reads(world: Any) -> None:
    """The body is larger than what waits for the app (10 pieces); it is thrown away when the answer is out."""
    auth = await world.login()
    go_on = trio.Event()
    world.cluster.read_barrier = go_on.wait
    size = 4 * 1024 * 1024
    async with serving(world.app, ServeConfig()) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(20):
            await stream.send_all(request("GET", "/api/apps?consistent=true", {**auth, "content-length": str(size)}))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, bytes(size))
                await trio.sleep(0.2)
                go_on.set()
                assert (await reader.answer())[0] == 200
            await stream.send_all(request("GET", "/api/health"))
            assert (await reader.answer())[0] == 200


async def poll(condition: Any) -> None:
    with trio.fail_after(3):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_clients_that_go_away_leave_nothing_behind(world: Any) -> None:
    auth = await world.login()
    async with serving(world.app) as server:
        streams = []
        for i in range(20):
            stream = await server.connect()
            streams.append(stream)
            await stream.send_all(request("GET", "/api/stream/events", auth))
            # Half of them ask for more before the first answer is over: the stream has no end.
            if i % 2:
                await stream.send_all(request("GET", "/api/health"))
        await poll(lambda: world.app.closing.waiting == 20)
        for stream in streams:
            await trio.aclose_forcefully(stream)
        # Those that asked for more are not read from, so only a send shows that they are gone.
        await poll(lambda: world.app.closing.waiting <= 10)
        await world.deploy(replicas=3)
        await world.deploy("db", replicas=3)
        await poll(lambda: world.app.closing.waiting == 0)


async def test_an_empty_binary_message_is_taken(world: Any) -> None:
    """(e)"""
    auth = await world.login()
    key = base64.b64encode(bytes(16)).decode()
    upgrade = {
        **auth,
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-key": key,
        "sec-websocket-version": "13",
    }
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(2):
            await stream.send_all(request("GET", "/api/ws", upgrade))
            assert (await reader.head())[0] == 101
            for _ in range(50):
                await stream.send_all(b"\x82\x80\x00\x00\x00\x00")
            await world.deploy(replicas=1, running=False)
            assert b"service_updated" in await reader.until(b'"id"')
            server.shutdown.set()
            rest = await reader.to_end()
            assert b"\x03\xe9the server shuts down" in rest


async def test_a_refused_websocket_is_answered_and_its_connection_closed(make_world: Any) -> None:
    """The client may take the connection for a WebSocket, so no request can follow on it."""
    world = make_world(requests_per_ip_per_minute=5)
    upgrade = {"upgrade": "websocket", "connection": "Upgrade"}
    upgrade |= {"sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    async with serving(world.app) as server, await server.connect() as stream:
        reader = Reader(stream)
        with trio.fail_after(5):
            await stream.send_all(
                request("GET", "/api/ws", {**upgrade, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="})
            )
            status, headers = await reader.head()
            assert (status, headers["connection"], headers["x-ratelimit-remaining"]) == (401, "close", "4")
            assert b'"code":"authentication_failed"' in await reader.to_end()


async def test_a_small_answer_is_one_piece(world: Any) -> None:
    """Its head and its body: one write, and one packet."""
    async with serving(world.app) as server, await server.connect() as stream:
        with trio.fail_after(5):
            await stream.send_all(request("GET", "/api/health"))
            first = await stream.receive_some()
            assert first.startswith(b"HTTP/1.1 200")
            assert first.endswith(b"}")
