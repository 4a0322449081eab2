"""Events over a WebSocket: ``{"type", "data", "id"}``, one message an event.

Nothing is queued for a client: it is sent what follows its position when it has taken what came before. One that
is so slow that its next events were forgotten is closed with 1013; one that takes nothing at all is cut by the
connection's send timeout (api/hypercorn_fixes).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from msgspec import Struct

from api.answer import encode
from api.events.closing import Closing
from api.events.feed import Feed, Told
from api.events.frames import Frames, writes
from consensus.model.event import Event


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
SendRaw = Callable[[bytes], Awaitable[None]]
UNAUTHENTICATED = CloseReason(4401, "your credentials are not valid any more")


async def run(
    socket: Socket,
    feed: Feed,
    closing: Closing,
    *,
    heartbeat_s: float,
    still_allowed: Callable[[], bool],
    frames: Frames | None = None,
    send_raw: SendRaw | None = None,
) -> None:
    """Sends events until the server shuts down, the client is too slow, or its credentials end.

    `still_allowed` is asked every `heartbeat_s`. It is cancelled when the client goes away.
    With `frames` and `send_raw` (which puts whole frames on the connection) events that were encoded for one client
    go to the others as they are, and all that are there in one write.
    """
    sender = _Sender(socket, feed, frames, send_raw)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard_incoming, socket)
        why = await _send(sender, feed, closing, heartbeat_s, still_allowed)
        await socket.close(why.code, why.reason)
        nursery.cancel_scope.cancel()


async def _discard_incoming(socket: Socket) -> None:
    """Clients have nothing to say here, but what they send must be taken, or their pings are not."""
    while True:
        await socket.receive()


class _Sender:
    """Sends events in whichever way there is."""

    def __init__(self, socket: Socket, feed: Feed, frames: Frames | None, send_raw: SendRaw | None) -> None:
        self._socket = socket
        self._feed = feed
        self._frames = frames
        self._send_raw = send_raw

    async def send(self, ready: list[Event] | Told, closing: Closing) -> None:
        """Stops between two events where the server shuts down."""
        if self._frames is not None and self._send_raw is not None and not isinstance(ready, Told):
            frames, tell = self._frames, self._feed.tell
            for data in writes(frames.of(event, tell) for event in ready):
                await self._send_raw(data)
                if closing.closed:
                    return
            return
        for told in [ready] if isinstance(ready, Told) else map(self._feed.tell, ready):
            await self._socket.send(encode(told).decode())
            if closing.closed:
                return


async def _send(
    sender: _Sender, feed: Feed, closing: Closing, heartbeat_s: float, still_allowed: Callable[[], bool]
) -> CloseReason:
    checked_s = trio.current_time()
    while True:
        was_live = feed.live
        ready = feed.take()
        if was_live and isinstance(ready, Told):
            return TOO_SLOW
        if ready:
            await sender.send(ready, closing)
        else:
            with closing.wait_scope(heartbeat_s):
                await feed.more()
        if closing.closed:
            return GOING_AWAY
        if trio.current_time() - checked_s >= heartbeat_s:
            checked_s = trio.current_time()
            if not still_allowed():
                return UNAUTHENTICATED
