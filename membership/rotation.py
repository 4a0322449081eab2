"""Round robin in random order (SWIM §4.3).

For probes it bounds the time until a failed member is probed; for gossip it spends the few transmissions of a piece of
news on different members. A new member is put at a random place, and the order is shuffled after each round.
"""

from __future__ import annotations

from collections.abc import Callable

from membership.randomness import Randomness


class Rotation:
    """Names, each handed out once a round."""

    def __init__(self, rng: Randomness) -> None:
        self._rng = rng
        self._names: list[str] = []
        self._known: set[str] = set()
        self._next = 0

    def add(self, name: str) -> None:
        """Put a member at a random place of the order; one that is in it already stays where it is."""
        if name in self._known:
            return
        self._known.add(name)
        place = self._rng.randrange(len(self._names) + 1)
        self._names.insert(place, name)
        if place < self._next:
            self._next += 1

    def forget(self, name: str) -> None:
        """Take a member out."""
        if name in self._known:
            self._known.remove(name)
            place = self._names.index(name)
            del self._names[place]
            if place < self._next:
                self._next -= 1

    def next(self, wanted: Callable[[str], bool]) -> str | None:
        """The next wanted member, or None if there is none."""
        for _ in range(len(self._names) + 1):
            if self._next >= len(self._names):
                self._rng.shuffle(self._names)
                self._next = 0
                continue
            name = self._names[self._next]
            self._next += 1
            if wanted(name):
                return name
        remaining = [name for name in self._names if wanted(name)]
        return remaining[0] if remaining else None
