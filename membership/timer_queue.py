"""The timers of a driver: one heap and one task, however many timers run."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf

import trio

from membership.timers import Timer

LATE_S = 0.1
"""A timer that is so much overdue tells that the process did not run for a while."""


class TimerQueue:
    """Timers in the order in which they fire."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._started = 0
        self._earlier = trio.Event()

    def start(self, timer: Timer, delay_s: float) -> None:
        """Let a timer fire after the delay."""
        due_s = trio.current_time() + delay_s
        if not self._heap or due_s < self._heap[0][0]:
            self._earlier.set()
        self._started += 1
        heapq.heappush(self._heap, (due_s, self._started, timer))

    async def run(self, fire: Callable[[Timer], None], catch_up: Callable[[], None]) -> None:
        """Fire timers until cancelled.

        After a pause of the process (SIGSTOP, a starved machine) `catch_up` is called first: it takes in what has
        arrived meanwhile, lest a timeout strike for want of an answer that is there already.
        """
        while True:
            self._earlier = trio.Event()
            due_s = self._heap[0][0] if self._heap else inf
            with trio.move_on_at(due_s):
                await self._earlier.wait()
            if self._heap and self._heap[0][0] <= trio.current_time() - LATE_S:
                catch_up()
            while self._heap and self._heap[0][0] <= trio.current_time():
                fire(heapq.heappop(self._heap)[2])
            await trio.lowlevel.checkpoint()
