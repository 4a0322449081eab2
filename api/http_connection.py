"""One HTTP request by ASGI: in comes a Request, out goes a Reply.

Quart's own way costs each request three more tasks' turns and the half of a small answer's time; and it sends the head
of a stream before it opens what is streamed: a container that is gone would be a 200 that breaks off. Here what goes
wrong at the opening is still answered as an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from api.answer import Reply
from api.request import Request

Send = Callable[[Any], Awaitable[None]]


class App(Protocol):
    async def handle_request(self, request: Request) -> Reply: ...

    def error_reply(self, error: Exception) -> Reply: ...


class HttpConnection:
    """The server cancels its call when the client goes (hypercorn_fixes/app_task.py)."""

    def __init__(self, app: App, scope: HTTPScope) -> None:
        self._app = app
        self._scope: Any = scope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await self._send(await self._app.handle_request(Request(self._scope, receive)), send)

    async def _send(self, reply: Reply, send: Send) -> None:
        if isinstance(reply.body, bytes):
            await _send_head(reply, send)
            await send({"type": "http.response.body", "body": reply.body, "more_body": False})
            return
        async with AsyncExitStack() as stack:
            try:
                pieces = await stack.enter_async_context(reply.body)
            except Exception as error:
                await self._send(self._app.error_reply(error), send)
                return
            await _send_head(reply, send)
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
