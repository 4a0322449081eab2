"""What a network does to packets, decided by a seeded generator: loss, delay, duplication, cuts.

Shared by the in-memory network of the drivers and by the simulator of the pure cores.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from membership.member import Address
from membership.randomness import Randomness


class LinkQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How good each link is."""

    loss: float = 0.0
    """Share of packets that never arrive."""
    duplication: float = 0.0
    """Share of packets that arrive twice."""
    delay_min_s: float = 0.001
    delay_max_s: float = 0.003
    """Delays are uniform between the two, so packets overtake one another."""


class Faults:
    """The fate of each packet. Cuts are one-way: `cut(a, b)` stops what a sends to b."""

    def __init__(self, quality: LinkQuality, rng: Randomness) -> None:
        self.quality = quality
        self._rng = rng
        self._cuts: set[tuple[Address, Address]] = set()

    def fate(self, source: Address, target: Address) -> tuple[float, ...]:
        """The delays, in seconds, after which copies arrive; empty if the packet is lost."""
        if (source, target) in self._cuts or self._rng.random() < self.quality.loss:
            return ()
        if self._rng.random() < self.quality.duplication:
            return (self.delay_s(), self.delay_s())
        return (self.delay_s(),)

    def delay_s(self) -> float:
        """One random delay."""
        spread_s = self.quality.delay_max_s - self.quality.delay_min_s
        return self.quality.delay_min_s + spread_s * self._rng.random()

    def is_cut(self, source: Address, target: Address) -> bool:
        """Whether nothing gets from `source` to `target`."""
        return (source, target) in self._cuts

    def cut(self, source: Address, target: Address) -> None:
        """Let nothing through from `source` to `target`."""
        self._cuts.add((source, target))

    def partition(self, one_side: Iterable[Address], other_side: Iterable[Address]) -> None:
        """Cut both ways between the sides."""
        others = list(other_side)
        for here in one_side:
            for there in others:
                self.cut(here, there)
                self.cut(there, here)

    def heal(self) -> None:
        """Undo all cuts."""
        self._cuts.clear()
