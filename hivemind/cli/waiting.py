"""Looking again and again until something is so."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import trio

from hivemind.client import Client

_LOOK_AGAIN_S = 3.0
_LOOKS_PAUSE_S = 0.7
"""Keeps a long wait under the API's 100 requests a minute."""


async def look_until(look: Callable[[], Awaitable[bool]], timeout_s: float = math.inf) -> None:
    """Calls `look` until it answers that it has seen enough, for `timeout_s` at most."""
    with trio.move_on_after(timeout_s):
        while True:
            if await look():
                return
            await trio.sleep(_LOOKS_PAUSE_S)


async def look_at_news(client: Client, resource: str, look: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
    """As `look_until`, but looks again only when there is news of `resource`, or after some seconds without any."""
    news = trio.Event()

    async def listen() -> None:
        stream = client.events(resources=[resource])
        async with aclosing(stream):
            async for _ in stream:
                news.set()

    async def look_after_news() -> bool:
        nonlocal news
        news = trio.Event()
        if await look():
            return True
        with trio.move_on_after(_LOOK_AGAIN_S):
            await news.wait()
        return False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await look_until(look_after_news, timeout_s)
        nursery.cancel_scope.cancel()
