"""What runs the core's ticks: when something is due, and at once when something arrived."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from .core import Core
from .waiting import Alarm, Deadlines


class Pump:
    """The clockwork of one core. `observe` is called after every tick, for those who wait for what it changed."""

    def __init__(self, core: Core, observe: Callable[[], None]) -> None:
        self._core = core
        self._observe = observe
        self._alarm = Alarm()
        self._deadlines = Deadlines()
        self._failure: Exception | None = None
        self._stepping_s = 0.0
        """What ticks have taken since the loop's turn in `run`."""

    async def run(self) -> None:
        """Tick until cancelled. Raises what a tick raises."""
        core = self._core
        while True:
            if self._failure is not None:
                raise self._failure
            self._stepping_s = 0.0
            self._tick()
            if core.wants_pump:
                await trio.lowlevel.checkpoint()
                continue
            await self._alarm.sleep(min(core.next_tick_s() - core.clock(), self._deadlines.expire()))

    def kick(self) -> None:
        """Tick in the next turn of the loop."""
        self._alarm.ring()

    def step(self) -> None:
        """One tick, now: what became durable, and what a voter said, is answered without another turn of the loop.

        Unless such ticks have taken long since the last turn: a single read may bring many messages.
        """
        core = self._core
        if self._stepping_s > core.settings.step_slice_s:
            self.kick()
            return
        try:
            self._tick()
        except Exception as error:
            # The caller is somebody else's task; it is `run` that this ends.
            self._failure = error
            self.kick()
        if core.wants_pump:
            self.kick()
        elif (wait_s := core.news_due_s - core.clock()) > 0:
            self._alarm.ring_within(wait_s)

    def flushed(self) -> None:
        """More is durable: at a follower only the answers that waited follow, and those are on their way."""
        if self._core._isLeader():
            self.step()

    def end_within(self, timeout_s: float, over: trio.Event) -> None:
        """Set `over` then, if nobody did before."""
        self._deadlines.add(trio.current_time() + timeout_s, over)
        self._alarm.ring_within(timeout_s)

    def _tick(self) -> None:
        """Send first, sync meanwhile: the core has sent what it has to say when it returns."""
        core = self._core
        began_s = time.monotonic()
        core._onTick()
        self._stepping_s += time.monotonic() - began_s
        core.durability.begin()
        self._observe()
