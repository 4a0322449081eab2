"""A request as it came by ASGI, and its body, which is taken as it is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.errors import ApiError, InvalidRequest, PayloadTooLarge
from api.request import Request

END = {"type": "http.request", "body": b"", "more_body": False}


def piece(body: bytes) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": True}


def receiving(*messages: dict[str, Any]) -> tuple[Callable[[], Awaitable[Any]], list[dict[str, Any]]]:
    """What gives these in turn, and those that were not taken yet."""
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0)

    return receive, left


def request(
    receive: Callable[[], Awaitable[Any]], *, path: str = "/api/apps", query: bytes = b"", **headers: str
) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": "GET", "path": path, "query_string": query, "headers": raw, "client": ("10.0.0.1", 5)}
    return Request(scope, receive)


async def test_nothing_of_a_body_is_taken_before_it_is_asked_for() -> None:
    receive, left = receiving(piece(b"one"), piece(b""), piece(b"two"), END)
    body = request(receive).body
    assert len(left) == 4
    assert [part async for part in body] == [b"one", b"two"]
    assert not left


async def test_a_whole_body_may_be_asked_for_again() -> None:
    receive, _ = receiving(piece(b"one"), piece(b"two"), END)
    body = request(receive).body
    assert await body.whole(6) == await body.whole(6) == b"onetwo"


@pytest.mark.parametrize(
    ("messages", "headers", "error"),
    [
        ([], {"content_length": "7"}, PayloadTooLarge),
        ([piece(b"1234"), piece(b"567")], {}, PayloadTooLarge),
        ([piece(b"1"), {"type": "http.disconnect"}], {"content_length": "2"}, InvalidRequest),
    ],
)
async def test_bodies_that_cannot_be_taken(
    messages: list[dict[str, Any]], headers: dict[str, str], error: type[ApiError]
) -> None:
    receive, left = receiving(*messages)
    with pytest.raises(error):
        await request(receive, **headers).body.whole(6)
    assert not left


def test_what_it_says() -> None:
    receive, _ = receiving()
    found = request(receive, path="http://elsewhere:80/api/apps", query=b"a=%C3%BC+1&b=", Accept="x")
    assert (found.method, found.path, found.address) == ("GET", "/api/apps", "10.0.0.1")
    assert found.headers == {"accept": "x"}
    assert found.query().values == {"a": "ü 1", "b": ""}
    with pytest.raises(InvalidRequest, match="'a' is given twice"):
        request(receive, query=b"a=1&a=2").query()
