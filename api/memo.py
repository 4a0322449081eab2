"""What was made of a frozen value, as long as that value stands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
REMEMBERED = 10_000


class Memo(Generic[S, T]):
    """Remembers by key what was made of a source; another source of that key (another object) is made anew.

    Rows of the replicated state never change, so the same object always shows the same.
    """

    def __init__(self, *, most: int = REMEMBERED) -> None:
        self._made: dict[Hashable, tuple[S, T]] = {}
        self._most = most

    def get(self, key: Hashable, source: S, make: Callable[[], T]) -> T:
        known = self.find(key, source)
        return self.keep(key, source, make()) if known is None else known

    def find(self, key: Hashable, source: S) -> T | None:
        known = self._made.get(key)
        return known[1] if known is not None and known[0] is source else None

    def keep(self, key: Hashable, source: S, made: T) -> T:
        if key not in self._made and len(self._made) >= self._most:
            del self._made[next(iter(self._made))]
        self._made[key] = (source, made)
        return made
