"""Waiting for news of the replica, without polling.

A reader compares the State it sees with the one it saw before; it is told only that there is a newer one, so a slow
reader skips what is in between and costs nothing.
"""

from __future__ import annotations

import trio


class Watch:
    """The applied index, and those who wait for it to move."""

    def __init__(self) -> None:
        self.index = 0
        self._moved = trio.Event()

    def advance(self, index: int) -> None:
        self.index = max(self.index, index)
        if self._moved.statistics().tasks_waiting:
            self._moved.set()
            self._moved = trio.Event()

    async def changed(self, after: int) -> int:
        """Returns the applied index as soon as it is greater than `after`."""
        while self.index <= after:
            await self._moved.wait()
        return self.index

    async def reached(self, index: int) -> None:
        """Returns as soon as `index` is applied."""
        await self.changed(index - 1)
