"""Waiting longer after each failure. Pure."""

from __future__ import annotations


class Backoff:
    """Doubles from `first_s` to `last_s`."""

    def __init__(self, *, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The pause to make now; the one after it is twice as long."""
        pause_s = self._next_s
        self._next_s = min(self._last_s, 2 * pause_s)
        return pause_s

    def reset(self) -> None:
        self._next_s = self._first_s
