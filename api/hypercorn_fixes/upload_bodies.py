"""The body of an upload arrives no faster than it is read.

Quart takes in a request's body as fast as the network brings it, whether anybody reads it or not: a volume's backup
would lie in memory as a whole.
"""

from __future__ import annotations

import trio
from quart_trio.wrappers.request import TrioBody

MOST_WAITING_BYTES = 1024 * 1024


class UploadBody(TrioBody):
    """At most about `MOST_WAITING_BYTES` of it wait to be read."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._taken = trio.Event()

    async def room(self) -> None:
        """Returns when more may be appended."""
        while len(self._data) >= MOST_WAITING_BYTES:
            self._taken = trio.Event()
            await self._taken.wait()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._taken.set()
        return data
