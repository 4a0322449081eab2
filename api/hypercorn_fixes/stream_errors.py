"""A streamed body is opened before the status is sent, so that what goes wrong there is still answered as an error.

Quart sends the head first and opens the body then: a container that is gone would be a 200 that breaks off.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, cast

from hypercorn.typing import ASGISendCallable
from quart import Response
from quart.typing import ResponseTypes
from quart.wrappers.response import DataBody, ResponseBody
from quart_trio.asgi import TrioASGIHTTPConnection


class _Opened(ResponseBody):
    """A body that was entered already; the caller leaves it."""

    def __init__(self, body: AsyncIterable[Any]) -> None:
        self._body = body

    async def __aenter__(self) -> AsyncIterable[Any]:
        return self._body

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class HttpConnection(TrioASGIHTTPConnection):
    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not isinstance(response, Response) or isinstance(response.response, DataBody):
            await super()._send_response(send, response)
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
