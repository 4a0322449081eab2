"""How often in a row an ask was not answered, round by round. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

A = TypeVar("A")


class Misses(Generic[A]):
    """`A`: what an ask is known by. An answer that comes after its round has ended comes too late."""

    def __init__(self) -> None:
        self._waiting: set[A] = set()
        self._missed: dict[A, int] = {}

    def end_round(self, still: Callable[[A], bool]) -> None:
        """What was asked and not answered is missed. `still`: whether an ask is of interest; others are forgotten."""
        for ask in self._waiting:
            self._missed[ask] = self._missed.get(ask, 0) + 1
        self._waiting = set()
        self._missed = {ask: count for ask, count in self._missed.items() if still(ask)}

    def begin_round(self, asks: Iterable[A]) -> None:
        self._waiting = set(asks)

    def answered(self, ask: A) -> bool:
        """Whether it was waited for."""
        if ask not in self._waiting:
            return False
        self.forget(ask)
        return True

    def forget(self, ask: A) -> None:
        """It was neither asked nor missed."""
        self._waiting.discard(ask)
        self._missed.pop(ask, None)

    def of(self, ask: A) -> int:
        return self._missed.get(ask, 0)
