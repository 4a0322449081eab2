"""The client against servers of the test's own, under trio, under asyncio, and waiting."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from itertools import islice
from typing import Any

import anyio
import httpx2
import pytest

from api.routes import all_routes
from hivemind.client import (
    ApiError,
    Basic,
    Client,
    ClientError,
    ServerUnreachable,
    SyncClient,
    Token,
    UnexpectedAnswer,
)

A, B = "http://a:4483", "http://b:4483"
Answer = httpx2.Response | Exception | Callable[[], httpx2.Response]
"""A response can be given once."""
Handler = Callable[[httpx2.Request], httpx2.Response]


class Servers:
    """Answers each request with what comes next, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[httpx2.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if self._answers else good()
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.asked]


def good(data: Any = None) -> httpx2.Response:
    headers = {"X-Hivemind-Index": "7", "X-Hivemind-Leader": "n1", "ETag": '"x"'}
    return httpx2.Response(200, json={"success": True, "data": data}, headers=headers)


def bad(status: int, code: str = "unavailable", **headers: str) -> httpx2.Response:
    error = {"code": code, "message": "no"}
    return httpx2.Response(status, json={"success": False, "error": error}, headers=headers)


@pytest.fixture(params=["trio", "asyncio", "waiting"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`run(servers, work)`: what `work(client)` returns; the client that waits is given the same work."""

    def run(servers: Handler, work: Callable[[Any], Any], **settings: Any) -> Any:
        transport = httpx2.MockTransport(servers)
        if request.param == "waiting":
            with SyncClient(A, B, transport=transport, **settings) as client:
                return work(client)

        async def main() -> Any:
            async with Client(A, B, transport=transport, **settings) as client:
                found = work(client)
                return await found if isinstance(found, Awaitable) else found

        return anyio.run(main, backend=request.param)

    return run


def test_an_answer(run: Callable[..., Any]) -> None:
    servers = Servers(good({"a": 1}))
    answer = run(servers, lambda client: client.request("GET", "/apps", params={"limit": 3, "x": None, "deep": True}))
    assert (answer.data, answer.index, answer.leader, answer.etag) == ({"a": 1}, 7, "n1", '"x"')
    assert str(servers.asked[0].url) == f"{A}/api/apps?limit=3&deep=true"
    assert "Idempotency-Key" not in servers.asked[0].headers


def test_an_error(run: Callable[..., Any]) -> None:
    with pytest.raises(ApiError) as refused:
        run(Servers(bad(409, "resource_conflict")), lambda client: client.deploy({"name": "web"}))
    assert (refused.value.status, refused.value.code, refused.value.message) == (409, "resource_conflict", "no")


@pytest.mark.parametrize(("status", "text"), [(500, "<html>"), (200, "[1]"), (400, '{"error": "so"}')])
def test_what_is_no_answer_of_ours(run: Callable[..., Any], status: int, text: str) -> None:
    with pytest.raises(ApiError):
        run(Servers(httpx2.Response(status, text=text)), lambda client: client.get("/apps"))


def test_an_answer_of_another_version(run: Callable[..., Any]) -> None:
    with pytest.raises(UnexpectedAnswer, match="replicas"):
        run(Servers(good({"name": "web"})), lambda client: client.scale("web", 1))


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadError("cut"),
        httpx2.RemoteProtocolError("gone"),
        lambda: bad(503),
        lambda: bad(504),
    ],
    ids=["refused", "cut", "gone", "503", "504"],
)
def test_a_write_goes_to_the_next_server_with_the_same_key(run: Callable[..., Any], failure: Any) -> None:
    """A retry at another node does not act twice: it is the same key (issue: Idempotency-Key)."""
    servers = Servers(failure, good({"message": "done"}))
    assert run(servers, lambda client: client.restart("web")).message == "done"
    assert servers.hosts == ["a", "b"]
    keys = {request.headers["Idempotency-Key"] for request in servers.asked}
    assert len(keys) == 1
    assert len({request.content for request in servers.asked}) == 1


def test_two_writes_have_two_keys(run: Callable[..., Any]) -> None:
    servers = Servers(good({"message": ""}))
    for _ in range(2):
        run(servers, lambda client: client.request("POST", "/restart", body={}))
    assert len({request.headers["Idempotency-Key"] for request in servers.asked}) == 2


def test_refusals_are_not_tried_again(run: Callable[..., Any]) -> None:
    for status in (400, 401, 403, 404, 409, 500):
        servers = Servers(bad(status))
        with pytest.raises(ApiError):
            run(servers, lambda client: client.restart("web"))
        assert len(servers.asked) == 1


def test_it_stays_with_the_server_that_answers(run: Callable[..., Any]) -> None:
    servers = Servers(httpx2.ConnectError("refused"))

    def twice(client: Any) -> Any:
        if isinstance(client, SyncClient):
            return [client.get("/x"), client.get("/x")]

        async def each() -> Any:
            return [await client.get("/x"), await client.get("/x")]

        return each()

    run(servers, twice)
    assert servers.hosts == ["a", "b", "b"]


def test_no_server_at_all(run: Callable[..., Any]) -> None:
    servers = Servers(*[httpx2.ConnectError("refused")] * 9)
    with pytest.raises(ServerUnreachable, match="refused"):
        run(servers, lambda client: client.get("/apps"))
    assert servers.hosts == ["a", "b"]


def test_credentials(run: Callable[..., Any]) -> None:
    for credentials, header in ((Token("t"), "Bearer t"), (Basic("u", "p"), "Basic dTpw")):
        servers = Servers()
        run(servers, lambda client: client.get("/apps"), credentials=credentials)
        assert servers.asked[0].headers["Authorization"] == header


def test_names_in_paths_are_quoted(run: Callable[..., Any]) -> None:
    servers = Servers(good({"message": ""}))
    run(servers, lambda client: client.delete_app("a/../b?c"))
    assert servers.asked[0].url.raw_path == b"/api/apps/a%2F..%2Fb%3Fc"


# -- streams


def _stream(*events: tuple[str, str, dict[str, Any]]) -> httpx2.Response:
    text = "".join(f"event: {name}\nid: {place}\ndata: {json.dumps(data)}\n\n" for place, name, data in events)
    return httpx2.Response(200, text="id: e.1.0\n\n" + text, headers={"Content-Type": "text/event-stream"})


def _first(number: int, **wanted: Any) -> Callable[[Any], Any]:
    def work(client: Any) -> Any:
        stream = client.events(**wanted)
        if isinstance(client, SyncClient):
            with closing(stream):
                return list(islice(stream, number))

        async def collect() -> Any:
            found = []
            async with aclosing(stream):
                async for event in stream:
                    found.append(event)
                    if len(found) == number:
                        return found
            return found

        return collect()

    return work


def test_events_go_on_at_the_next_server_where_they_broke_off(run: Callable[..., Any]) -> None:
    servers = Servers(
        _stream(("e.5.0", "container.created", {"id": "c1"})),
        httpx2.ConnectError("refused"),
        bad(503),
        _stream(("e.6.0", "node.left", {"id": "n"})),
    )
    found = run(servers, _first(2, types=["container_created", "node_left"], resources=["app/web"]))
    assert [(event.id, event.type) for event in found] == [("e.5.0", "container_created"), ("e.6.0", "node_left")]
    assert [request.url.params.get("since") for request in servers.asked] == [None, "e.5.0", "e.5.0", "e.5.0"]
    assert servers.asked[0].url.params["types"] == "container_created,node_left"
    assert servers.hosts == ["a", "b", "a", "b"]


def test_the_place_is_known_before_the_first_event(run: Callable[..., Any]) -> None:
    servers = Servers(_stream(), _stream(("e.2.0", "node.left", {})))
    run(servers, _first(1))
    assert servers.asked[1].url.params["since"] == "e.1.0"


def test_a_refused_stream(run: Callable[..., Any]) -> None:
    with pytest.raises(ClientError) as refused:
        run(Servers(bad(401, "authentication_failed")), _first(1))
    assert isinstance(refused.value, ApiError)


# -- all endpoints

WITHOUT_METHOD = {"DELETE /volumes/{volume_name}"}
"""Another method does the same."""
TO_COME = ("/graphql", "/openapi.json", "/docs")
"""Being made, or not for programs."""


def _calls() -> Iterator[tuple[str, inspect.Signature]]:
    for name, function in inspect.getmembers(SyncClient, inspect.isfunction):
        if not name.startswith("_") and name not in ("get", "post", "put", "delete", "request", "text", "lines"):
            yield name, inspect.signature(function)


def _asked_by(name: str, signature: inspect.Signature) -> str:
    """The operation that a method asks for, with its arguments' names as the path's variables."""
    servers = Servers(bad(418))
    arguments: list[Any] = [
        {"name": "var-name"} if re.search("Mapping|Sequence", str(parameter.annotation)) else f"var-{each}"
        for each, parameter in list(signature.parameters.items())[1:]
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    with SyncClient(A, transport=httpx2.MockTransport(servers)) as client, pytest.raises(ApiError):
        _complete(getattr(client, name)(*arguments))
    return f"{servers.asked[0].method} {servers.asked[0].url.path.removeprefix('/api')}"


def _complete(answer: Any) -> None:
    """Streams ask when they are begun."""
    if inspect.isgenerator(answer):
        next(answer)
    else:
        answer.__enter__()


def test_every_operation_of_the_api_has_a_method() -> None:
    asked = {re.sub(r"var-\w+", "{}", _asked_by(name, signature)) for name, signature in _calls()}
    routes = [route for route in all_routes() if not route.path.startswith(TO_COME)]
    names = {re.sub(r"\{\w+\}", "{}", route.name) for route in routes if route.name not in WITHOUT_METHOD}
    assert not names - asked, "hivemind/client/_async/methods.py needs a method (then run scripts/sync_client.py)"
