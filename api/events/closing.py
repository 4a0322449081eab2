"""Telling long answers that the server shuts down, so that they end with a reason instead of being cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Closing:
    """Long answers wait inside `wait_scope`; `close` wakes them all."""

    def __init__(self) -> None:
        self.closed = False
        self._waiting: set[trio.CancelScope] = set()

    @property
    def waiting(self) -> int:
        """How many long answers wait for news now."""
        return len(self._waiting)

    def close(self) -> None:
        self.closed = True
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def wait_scope(self, timeout_s: float) -> Iterator[trio.CancelScope]:
        """What is awaited inside is given up after `timeout_s`, or when the server shuts down.

        Never `yield` from an async generator inside.
        """
        with trio.CancelScope(deadline=trio.current_time() + timeout_s) as scope:
            if self.closed:
                scope.cancel()
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)
