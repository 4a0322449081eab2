"""``?wait=<index>``: an answer as soon as there is news after that index (as Consul's blocking queries).

With If-None-Match it waits on until the answer itself differs, so that a client sleeps through others' news.
"""

from __future__ import annotations

import trio

from api.errors import InvalidRequest
from api.events.closing import Closing
from api.query import Query
from consensus.machine import Machine
from consensus.model.quantity import duration_s

DEFAULT_S = 30.0
LONGEST_S = 600.0
SETTLE_S = 0.05
"""News comes in bursts; looking at each would cost more than it tells."""


class LongPoll:
    """One request's wait. Raises InvalidRequest where its parameters have bad values."""

    def __init__(self, query: Query, machine: Machine, closing: Closing) -> None:
        self._after = query.integer("wait")
        self._machine = machine
        self._closing = closing
        self._seen = machine.index
        self._deadline_s = trio.current_time() + _timeout_s(query)

    async def first(self) -> None:
        """Returns when the replica is past the index that was asked for, or the time is up."""
        if self._after is not None:
            await self._past(self._after)
        self._seen = self._machine.index

    async def again(self) -> bool:
        """Whether there may be another answer now; False: the time is up, or nobody asked to wait."""
        if self._after is None or not await self._past(self._seen):
            return False
        with self._closing.wait_scope(SETTLE_S):
            await trio.sleep_forever()
        self._seen = self._machine.index
        return True

    async def _past(self, index: int) -> bool:
        with self._closing.wait_scope(self._deadline_s - trio.current_time()):
            await self._machine.watch.changed(index)
        return self._machine.index > index and not self._closing.closed


def _timeout_s(query: Query) -> float:
    text = query.text("timeout")
    if text is None:
        return DEFAULT_S
    try:
        timeout_s = duration_s(text)
    except ValueError as error:
        raise InvalidRequest(f"parameter 'timeout': {error}") from None
    if timeout_s > LONGEST_S:
        raise InvalidRequest(f"parameter 'timeout': expected at most {LONGEST_S:g}s, got {text[:20]!r}")
    return timeout_s
