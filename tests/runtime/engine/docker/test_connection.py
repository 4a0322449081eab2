"""The client against engines that misbehave, under trio and asyncio alike."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from runtime.engine.docker import Docker, DockerConnectionError, DockerError
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.errors import EngineBusy, EngineUnavailable, ImageNotFound, ImagePullFailed, InvalidSpec

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """An answer in chunks; without `end` the connection breaks after them."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return _OK + b"Transfer-Encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if end else b"")


def whole(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class FakeEngine:
    """Answers each connection's one request with the next of `answers`, and closes it.

    The answers say so (`Connection: close`): a client that kept the connection could send its next request into it
    just before it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.answers: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                request = connection.recv(65536)
                if request == b"stop":
                    return
                if self.answers:
                    connection.sendall(self.answers.pop(0))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect(self._listener.getsockname())
            knock.sendall(b"stop")
        self._thread.join()
        self._listener.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "docker.sock")
    yield engine
    engine.close()


@pytest.fixture(params=["trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    def runner(function: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(20):
                return await function()

        return anyio.run(bounded, backend=request.param)

    return runner


def test_no_engine(tmp_path: Path, run: Any) -> None:
    async def main() -> None:
        async with Docker(f"unix://{tmp_path}/none.sock") as docker:
            with pytest.raises(DockerConnectionError, match=r"none\.sock") as failure:
                await docker.version()
            assert failure.value.status == 900
            with pytest.raises(EngineUnavailable):
                await DockerEngine(docker).info()

    run(main)


@pytest.mark.parametrize("host", ["", "nonsense", "ftp://x", "unix://"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ValueError, match="Docker host"):
        Docker(host or "/var/run/docker.sock")


def test_the_engines_words(fake: FakeEngine, run: Any) -> None:
    fake.answers = [whole(b"409 Conflict", b'{"message":"already there\\n"}'), whole(b"502 Bad", b"<html>")]

    async def main() -> None:
        async with Docker(fake.url) as docker:
            with pytest.raises(DockerError, match=r"^already there$") as failure:
                await docker.version()
            assert failure.value.status == 409
            with pytest.raises(DockerError, match="<html>"):
                await docker.version()

    run(main)


def test_an_answer_that_breaks_off(fake: FakeEngine, run: Any) -> None:
    """The engine dies between its headers and its answer."""
    fake.answers = [_OK + b"Content-Length: 100\r\n\r\n{", b""]

    async def main() -> None:
        async with Docker(fake.url) as docker:
            for _ in range(2):
                with pytest.raises(DockerConnectionError):
                    await docker.version()

    run(main)


def test_events_until_the_connection_breaks(fake: FakeEngine, run: Any) -> None:
    """Events come whole from pieces; a broken connection and a clean end are both EngineUnavailable."""
    now = whole(b"200 OK", b'{"SystemTime":"2026-01-02T03:04:05.678901234Z"}')
    event = (
        b'{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"3","a":"b"}},"timeNano":5}'
    )
    event += b"\n"
    pieces = (event[:20], event[20:] + event[:7], event[7:])
    fake.answers = [now, chunked(*pieces, end=False), now, chunked(*pieces)]

    async def main() -> None:
        engine = DockerEngine(Docker(fake.url))
        for _ in range(2):
            async with engine.events({"a": "b"}) as events:
                for _ in range(2):
                    found = await anext(events)
                    assert (found.engine_id, found.action, found.exit_code) == ("c1", "die", 3)
                    assert found.labels == {"a": "b"}
                with pytest.raises(EngineUnavailable):
                    await anext(events)
        await engine.aclose()

    run(main)


def test_leaving_a_stream_early_leaves_nothing_behind(fake: FakeEngine, run: Any) -> None:
    """Warnings are errors here: neither a socket nor an async generator is left to the garbage collector."""
    fake.answers = [chunked(b'{"n":1}\n{"n":2}\n', b'{"n":3}\n', end=False)]

    async def main() -> None:
        async with Docker(fake.url) as docker, docker.events.subscribe() as events:
            assert await events.get() == {"n": 1}

    run(main)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (chunked(b'{"error":"manifest unknown: manifest unknown"}\n'), ImageNotFound, "manifest unknown"),
        (whole(b"404 Not Found", b'{"message":"pull access denied for x"}'), ImageNotFound, "access denied"),
        (whole(b"500 Oops", b'{"message":"dial tcp: no route"}'), ImagePullFailed, "no route"),
        (chunked(b'{"status":"Pulling"}\n', b'{"error":"unexpected EOF"}\n'), ImagePullFailed, "unexpected EOF"),
        (whole(b"400 Bad", b'{"message":"invalid reference format"}'), InvalidSpec, "invalid reference"),
    ],
)
def test_a_failed_pull(fake: FakeEngine, run: Any, answer: bytes, kind: type[Exception], words: str) -> None:
    fake.answers = [whole(b"404 Not Found", b'{"message":"No such image"}'), answer]

    async def main() -> None:
        engine = DockerEngine(Docker(fake.url))
        with pytest.raises(kind, match=words):
            await engine.ensure_image("registry/x:1")
        await engine.aclose()

    run(main)


def test_pull_progress(fake: FakeEngine, run: Any) -> None:
    layers = (
        b'{"status":"Downloading","id":"l1","progressDetail":{"current":10,"total":100}}\n'
        b'{"status":"Downloading","id":"l2","progressDetail":{"current":5,"total":50}}\n'
        b'{"status":"Download complete","id":"l1","progressDetail":{}}\n'
    )
    image = whole(b"200 OK", b'{"Id":"sha256:1","RepoDigests":["x@sha256:2"],"Architecture":"amd64"}')
    fake.answers = [whole(b"404 No", b'{"message":"No such image"}'), chunked(layers), image]
    seen: list[tuple[int, int]] = []

    async def main() -> Any:
        engine = DockerEngine(Docker(fake.url))
        ref = await engine.ensure_image(
            "x", on_progress=lambda progress: seen.append((progress.current_bytes, progress.total_bytes))
        )
        await engine.aclose()
        return ref

    assert run(main).digest == "sha256:2"
    assert seen == [(10, 100), (15, 150), (105, 150)]


def test_an_engine_that_cannot_now(fake: FakeEngine, run: Any) -> None:
    fake.answers = [whole(b"500 Oops", b'{"message":"containerd is away"}')]

    async def main() -> None:
        engine = DockerEngine(Docker(fake.url))
        with pytest.raises(EngineBusy, match="containerd is away") as failure:
            await engine.start("c1")
        assert failure.value.temporary
        await engine.aclose()

    run(main)
