"""How many requests an IP address and a user may make.

A sliding window from two counters (the window before counts for the part of it that is still within reach), so a
key costs a few bytes and no burst passes at a window's edge. Pure: the time is handed in.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from msgspec import Struct

MAX_KEYS = 10_000
# Unix time over a window's length leaves some 1e-8 of a window: times the count, far less than one request.
_ROUNDING = 1e-3


class Budget(Struct, frozen=True):
    """What is left after a request. `reset_s`: seconds until the window is empty; `retry_after_s`: 0 if allowed."""

    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float

    @property
    def allowed(self) -> bool:
        return self.retry_after_s == 0


class _Counter(Struct):
    window: int
    count: int = 0
    before: int = 0


class SlidingWindow:
    """At most `limit` requests of a key in any `window_s`. Remembers the `max_keys` most recently seen keys."""

    def __init__(self, limit: int, window_s: float, *, max_keys: int = MAX_KEYS) -> None:
        self.limit = limit
        self._window_s = window_s
        self._max_keys = max_keys
        self._counters: OrderedDict[str, _Counter] = OrderedDict()

    def spend(self, key: str, now_s: float, *, cost: int = 1) -> Budget:
        """Counts one request of `key`, if it is allowed; a refused one is not counted."""
        counter = self._counter(key, now_s)
        passed = now_s / self._window_s - counter.window
        used = counter.count + counter.before * (1 - passed)
        reset_s = (1 - passed) * self._window_s
        if used + cost > self.limit + _ROUNDING:
            return Budget(self.limit, 0, reset_s, self._retry_after_s(counter, passed, cost))
        counter.count += cost
        return Budget(self.limit, max(0, math.floor(self.limit - used - cost)), reset_s, 0.0)

    def _counter(self, key: str, now_s: float) -> _Counter:
        window = math.floor(now_s / self._window_s)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter(window)
            if len(self._counters) > self._max_keys:
                self._counters.popitem(last=False)
        elif counter.window != window:
            counter.before = counter.count if counter.window == window - 1 else 0
            counter.window, counter.count = window, 0
        self._counters.move_to_end(key)
        return counter

    def _retry_after_s(self, counter: _Counter, passed: float, cost: int) -> float:
        if counter.count + cost > self.limit:
            # Not before the next window, and there only when enough of this one is out of reach.
            out_of_reach = 1 - (self.limit - cost) / max(counter.count, 1)
            return (1 - passed + max(0.0, out_of_reach)) * self._window_s
        needed = 1 - (self.limit - cost - counter.count) / max(counter.before, 1)
        return max(0.001, needed - passed) * self._window_s
