"""Waiting for what the pump brings about, without polling."""

from __future__ import annotations

import heapq
import itertools
import math
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


class Alarm:
    """The sleep of one task: until it is rung, or until a time that can be brought forward."""

    def __init__(self) -> None:
        self._rung = trio.Event()
        self._scope = trio.CancelScope()

    def ring(self) -> None:
        """End the sleep, or the next one."""
        self._rung.set()

    def ring_within(self, delay_s: float) -> None:
        """End the sleep then, if it would last longer."""
        deadline_s = trio.current_time() + delay_s
        if deadline_s < self._scope.deadline:
            self._scope.deadline = deadline_s

    async def sleep(self, longest_s: float) -> None:
        with trio.CancelScope(deadline=trio.current_time() + longest_s) as self._scope:
            await self._rung.wait()
            self._rung = trio.Event()


class Deadlines:
    """Things that end at a time, most of them by something else before."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, trio.Event]] = []
        self._order = itertools.count()

    def add(self, deadline_s: float, over: trio.Event) -> None:
        """Set `over` at `deadline_s`, by trio's clock, see `expire`."""
        while self._waiting and self._waiting[0][2].is_set():
            heapq.heappop(self._waiting)
        heapq.heappush(self._waiting, (deadline_s, next(self._order), over))

    def expire(self) -> float:
        """Set what is due; returns in how many seconds the next may be."""
        now_s = trio.current_time()
        while self._waiting and (self._waiting[0][2].is_set() or self._waiting[0][0] <= now_s):
            heapq.heappop(self._waiting)[2].set()
        return self._waiting[0][0] - now_s if self._waiting else math.inf


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
