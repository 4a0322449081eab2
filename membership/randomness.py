"""What the core needs of a random generator; `random.Random` fits.

The core never makes one: it is handed in, so that a simulation is repeated by its seed.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Randomness(Protocol):
    """The part of `random.Random` that the protocol uses."""

    def random(self) -> float: ...
    def randrange(self, start: int, /) -> int: ...
    def sample(self, population: Sequence[T], k: int) -> list[T]: ...
    def shuffle(self, x: MutableSequence[Any]) -> None: ...
