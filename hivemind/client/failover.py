"""When a request is tried again, where, and after how long: a pure decision, no I/O."""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Failure(enum.Enum):
    """`REFUSED`: no connection, so nothing was asked. `BROKEN`: asked, and not answered. `BUSY`: told to come again."""

    REFUSED = enum.auto()
    BROKEN = enum.auto()
    BUSY = enum.auto()


class Servers:
    """The servers in turn; all requests of a client go to one until it fails."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(dict.fromkeys(url.rstrip("/").removesuffix("/api") for url in urls))
        if not self.urls:
            raise ValueError("expected at least one server")
        self._turn = 0

    @property
    def current(self) -> str:
        return self.urls[self._turn]

    def leave(self, url: str) -> None:
        """Goes to the next one; nothing where another request has done so already."""
        if url == self.current:
            self._turn = (self._turn + 1) % len(self.urls)


class Attempts:
    """The attempts of one request. Retrying ends `retry_for_s` after the first failure.

    Where every server refuses from the start there is nothing to wait for: that ends it at once.
    """

    def __init__(self, servers: int, retry_for_s: float, rng: random.Random) -> None:
        self._servers = servers
        self._retry_for_s = retry_for_s
        self._rng = rng
        self._deadline_s: float | None = None
        self._failures = 0
        self._only_refusals = True

    def pause_s(self, failure: Failure, now_s: float, retry_after_s: float = 0.0) -> float | None:
        """How long to wait before the next attempt; None: give up."""
        if self._deadline_s is None:
            self._deadline_s = now_s + self._retry_for_s
        self._failures += 1
        if failure is Failure.REFUSED and self._only_refusals:
            return 0.0 if self._failures < self._servers else None
        self._only_refusals = False
        if failure is not Failure.BUSY and self._failures < self._servers:
            return 0.0 if now_s < self._deadline_s else None
        backoff_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10))
        pause_s = max(retry_after_s, backoff_s * self._rng.uniform(0.5, 1.0))
        return pause_s if now_s + pause_s <= self._deadline_s else None
