"""Events over a WebSocket: ``{"type", "data", "id"}``, one message an event.

Nothing is queued for a client: it is sent what follows its position when it has taken what came before. One that
is so slow that its next events were forgotten is closed with 1013; one that takes nothing at all is cut by the
connection's send timeout (api/hypercorn_fixes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio
from msgspec import Struct

from api.answer import encode
from api.events.closing import Closing
from api.events.feed import GAP, Feed


class Socket(Protocol):
    """An accepted WebSocket."""

    async def send(self, data: str) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self, code: int, reason: str = ...) -> None: ...


class CloseReason(Struct, frozen=True):
    code: int
    reason: str


GOING_AWAY = CloseReason(1001, "the server shuts down")
TOO_SLOW = CloseReason(1013, "too slow: events were forgotten before you took them; read anew or resume")
UNAUTHENTICATED = CloseReason(4401, "your credentials are not valid any more")


async def run(
    socket: Socket, feed: Feed, closing: Closing, *, heartbeat_s: float, still_allowed: Callable[[], bool]
) -> None:
    """Sends events until the server shuts down, the client is too slow, or its credentials end.

    `still_allowed` is asked every `heartbeat_s`. It is cancelled when the client goes away.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard_incoming, socket)
        why = await _send(socket, feed, closing, heartbeat_s, still_allowed)
        await socket.close(why.code, why.reason)
        nursery.cancel_scope.cancel()


async def _discard_incoming(socket: Socket) -> None:
    """Clients have nothing to say here, but what they send must be taken, or their pings are not."""
    while True:
        await socket.receive()


async def _send(
    socket: Socket, feed: Feed, closing: Closing, heartbeat_s: float, still_allowed: Callable[[], bool]
) -> CloseReason:
    checked_s = trio.current_time()
    while True:
        was_live = feed.live
        ready = feed.ready()
        if was_live and ready and ready[0].type == GAP:
            return TOO_SLOW
        for told in ready:
            await socket.send(encode(told).decode())
            if closing.closed:
                return GOING_AWAY
        if not ready:
            with closing.wait_scope(heartbeat_s):
                await feed.more()
        if closing.closed:
            return GOING_AWAY
        if trio.current_time() - checked_s >= heartbeat_s:
            checked_s = trio.current_time()
            if not still_allowed():
                return UNAUTHENTICATED
