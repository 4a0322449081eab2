"""How an answer is sent: a streamed body is opened before the status goes out, and a whole one goes out as it is.

Quart sends the head first and opens the body then: a container that is gone would be a 200 that breaks off. Here what
goes wrong at the opening is still answered as an error. A whole body is one message and not three, and its sending
needs no limit of time from Quart: the connection has its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request, Response
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers.response import DataBody, ResponseBody
from quart_trio.asgi import TrioASGIHTTPConnection

from api.hypercorn_fixes.upload_bodies import UploadBody


class _Opened(ResponseBody):
    """A body that was entered already; the caller leaves it."""

    def __init__(self, body: AsyncIterable[Any]) -> None:
        self._body = body

    async def __aenter__(self) -> AsyncIterable[Any]:
        return self._body

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class HttpConnection(TrioASGIHTTPConnection):
    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        request = super()._create_request_from_scope(send)
        if self.app.body_limit_bytes(request.method, request.path) is None:  # type: ignore[attr-defined]
            request.body = UploadBody()
        return request

    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        if not isinstance(request.body, UploadBody):
            await super().handle_messages(nursery, request, receive)
            return
        while (message := await receive())["type"] == "http.request":
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
            await request.body.room()
        nursery.cancel_scope.cancel()

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = self._create_request_from_scope(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handle_messages, nursery, request, receive)
            await self._send_response(send, await self.app.handle_request(request))
            nursery.cancel_scope.cancel()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not isinstance(response, Response):
            await super()._send_response(send, response)
            return
        if isinstance(response.response, DataBody):
            start: Any = {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
            await send(start)
            await send({"type": "http.response.body", "body": response.response.data, "more_body": False})
            return
        body = cast(AbstractAsyncContextManager[AsyncIterable[Any]], response.response)
        async with AsyncExitStack() as stack:
            try:
                entered = await stack.enter_async_context(body)
            except Exception as error:
                response = await self.app.error_response(error)  # type: ignore[attr-defined]
            else:
                response.response = _Opened(entered)
            await super()._send_response(send, response)
