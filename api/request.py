"""An HTTP request as it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trio

from api.errors import InvalidRequest, PayloadTooLarge, RequestTimeout
from api.query import Query

BODY_TIMEOUT_S = 60.0
"""A body that is read as a whole must be there by then."""


class Request:
    """Attributes:
    path: without its percent signs; the query is not part of it.
    headers: by lowercase name.
    address: the client's IP address.
    body: not read yet.
    """

    def __init__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]]) -> None:
        client, path = scope.get("client"), scope["path"]
        self.method: str = scope["method"]
        # A proxy's clients ask for whole URLs.
        self.path: str = path if path.startswith("/") else urlsplit(path).path
        self.headers: Mapping[str, str] = {
            name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]
        }
        self.address = str(client[0]) if client else "<local>"
        self.body = IncomingBody(receive, self.headers.get("content-length"))
        self._query_string: bytes = scope["query_string"]

    def query(self) -> Query:
        """Raises InvalidRequest where a parameter is given twice."""
        return Query(parse_qsl(self._query_string.decode("latin1"), keep_blank_values=True))


class IncomingBody:
    """A request's body, taken from the connection when it is asked for: what nobody reads waits at the client's side.

    Iterate over its pieces, or take the whole.
    """

    def __init__(self, receive: Callable[[], Awaitable[Any]], content_length: str | None) -> None:
        self._receive = receive
        self._content_length = content_length
        self._ended = False
        self._whole: bytes | None = None

    def __aiter__(self) -> IncomingBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            message = await self._receive()
            if message["type"] != "http.request":
                raise InvalidRequest("the request's body broke off")
            self._ended = not message.get("more_body", False)
            if piece := message.get("body"):
                return bytes(piece)
        raise StopAsyncIteration

    async def whole(self, most_bytes: int) -> bytes:
        """All of it, as often as it is asked for. Raises PayloadTooLarge, RequestTimeout."""
        if self._whole is None:
            too_large = PayloadTooLarge(f"the request's body is too large: expected at most {most_bytes} bytes")
            if self._content_length is not None and int(self._content_length) > most_bytes:
                raise too_large
            pieces = bytearray()
            with trio.move_on_after(BODY_TIMEOUT_S) as waiting:
                async for piece in self:
                    pieces += piece
                    if len(pieces) > most_bytes:
                        raise too_large
            if waiting.cancelled_caught:
                raise RequestTimeout("the request took too long to arrive")
            self._whole = bytes(pieces)
        return self._whole
