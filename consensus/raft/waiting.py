"""Waiting for what the pump brings about, without polling."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Threshold:
    """A number that only matters when it reaches what somebody waits for."""

    def __init__(self) -> None:
        self._value = 0
        self._waiting: list[tuple[int, int, trio.Event]] = []
        self._order = itertools.count()

    def advance(self, value: int) -> None:
        """The number is `value` now."""
        self._value = value
        while self._waiting and self._waiting[0][0] <= value:
            heapq.heappop(self._waiting)[2].set()

    async def wait(self, value: int) -> None:
        """Return when the number has reached `value`."""
        if self._value >= value:
            await trio.lowlevel.checkpoint()
            return
        event = trio.Event()
        heapq.heappush(self._waiting, (value, next(self._order), event))
        await event.wait()


class Waiters:
    """Conditions that are looked at after every tick."""

    def __init__(self) -> None:
        self._waiting: dict[trio.Event, Callable[[], bool]] = {}

    def check(self) -> None:
        for event, is_met in self._waiting.items():
            if is_met():
                event.set()

    async def wait(self, is_met: Callable[[], bool]) -> None:
        """Return when `is_met()`."""
        event = trio.Event()
        self._waiting[event] = is_met
        try:
            if is_met():
                await trio.lowlevel.checkpoint()
                return
            await event.wait()
        finally:
            del self._waiting[event]
