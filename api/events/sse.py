"""Server-Sent Events (WHATWG HTML, 9.2). The body is an iterator of its own and no generator: it may be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

from api.answer import encode
from api.events.closing import Closing
from api.events.feed import GAP, Feed, Told


class EventBody:
    """Ends when the server shuts down, when the client is so slow that events it never got were forgotten, and when
    its credentials do: `still_allowed` is asked every `heartbeat_s`."""

    def __init__(self, feed: Feed, closing: Closing, *, heartbeat_s: float, still_allowed: Callable[[], bool]) -> None:
        self._feed = feed
        self._closing = closing
        self._heartbeat_s = heartbeat_s
        self._still_allowed = still_allowed
        self._checked_s = trio.current_time()
        self._greeted = False
        self._last_words: bytes | None = None

    async def __aenter__(self) -> EventBody:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __aiter__(self) -> EventBody:
        return self

    async def __anext__(self) -> bytes:
        if self._last_words is not None:
            raise StopAsyncIteration
        if not self._greeted:
            # The headers go out with the first chunk, and the client knows where it may go on from.
            self._greeted = True
            return self._position()
        while True:
            if trio.current_time() - self._checked_s >= self._heartbeat_s:
                self._checked_s = trio.current_time()
                if not self._still_allowed():
                    return self._farewell("your credentials are not valid any more")
            was_live = self._feed.live
            ready = self._feed.ready()
            if ready:
                if was_live and ready[0].type == GAP:
                    return self._farewell("too slow")
                return b"".join(map(_frame, ready))
            with self._closing.wait_scope(self._heartbeat_s) as waiting:
                await self._feed.more()
            if self._closing.closed:
                return self._farewell("going away")
            if waiting.cancelled_caught:
                return b": heartbeat\n" + self._position()

    def _position(self) -> bytes:
        """An id without data: no event to the client, but the place to resume from (WHATWG HTML, 9.2.6)."""
        return f"id: {self._feed.last_id}\n\n".encode()

    def _farewell(self, reason: str) -> bytes:
        self._last_words = f": closed, {reason}; resume with Last-Event-ID\n\n".encode()
        return self._last_words


def _frame(told: Told) -> bytes:
    return f"event: {told.sse_name}\nid: {told.id}\ndata: ".encode() + encode(told.data) + b"\n\n"
