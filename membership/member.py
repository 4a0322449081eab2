"""Members, their states, and which of two claims about a member wins (SWIM §4.2).

A claim is an incarnation and a state. The higher incarnation wins; within an incarnation the later state in
`alive < suspect < dead < left` wins. So claims form an order, the table keeps the maximum, and members that have
heard the same claims agree, whatever the sequence in which they came. (The paper's *confirm* overrides every
incarnation; as members here come back under their names, ours overrides only up to its own.)

A member that is reaped leaves its incarnation behind as a *floor*: an old Alive that still travels somewhere
must not bring it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TypeAlias

import msgspec

Address: TypeAlias = tuple[str, int]
"""IP address and port."""

MAX_FLOORS = 65_536
"""Floors kept, the oldest dropped first: bounds memory where names are never used twice."""


class MemberState(IntEnum):
    """Ordered: within one incarnation a member only moves to the right."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3

    @property
    def word(self) -> str:
        """The state as users read it: `alive`, `suspect`, `dead` or `left`."""
        return self.name.lower()


class Member(msgspec.Struct, frozen=True):
    """What is believed of one member."""

    name: str
    address: str
    port: int
    incarnation: int
    state: MemberState
    meta: bytes
    meta_incarnation: int
    """The incarnation that announced `address` and `meta`; behind `incarnation` when only a suspicion or a
    death of the newer one has been heard of yet."""
    state_since_s: float
    """Monotonic time of the last change of state here; not comparable between nodes."""

    @property
    def endpoint(self) -> Address:
        """Host and port."""
        return (self.address, self.port)

    @property
    def is_live(self) -> bool:
        """Alive or suspect: counted, probed and gossiped to."""
        return self.state <= MemberState.SUSPECT


def overrides(incarnation: int, state: MemberState, member: Member) -> bool:
    """Whether the claim (incarnation, state) wins over what is believed of `member` (SWIM §4.2)."""
    return (incarnation, state) > (member.incarnation, member.state)


class MemberTable:
    """Members by name, this one included, and the floors of those that are gone."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._floors: dict[str, int] = {}
        self._live = 0

    def get(self, name: str) -> Member | None:
        """The member, or None."""
        return self.members.get(name)

    def put(self, member: Member) -> None:
        """Add or replace a member."""
        before = self.members.get(member.name)
        self._live += member.is_live - (before is not None and before.is_live)
        self.members[member.name] = member
        self._floors.pop(member.name, None)

    def live_count(self) -> int:
        """Members that are alive or suspect: the n of every formula."""
        return self._live

    def live(self) -> Iterator[Member]:
        """The members that are alive or suspect."""
        return (member for member in self.members.values() if member.is_live)

    def raise_floor(self, name: str, incarnation: int) -> None:
        """Ignore claims about an unknown `name` up to this incarnation."""
        floor = max(incarnation, self._floors.pop(name, 0))
        self._floors[name] = floor
        if len(self._floors) > MAX_FLOORS:
            del self._floors[next(iter(self._floors))]

    def floor(self, name: str) -> int | None:
        """The incarnation up to which claims about an unknown `name` are old, or None."""
        return self._floors.get(name)

    def above_floor(self, name: str, incarnation: int) -> bool:
        """Whether a claim about an unknown `name` is news."""
        floor = self._floors.get(name)
        return floor is None or incarnation > floor

    def reap(self, *, before_s: float) -> list[Member]:
        """Forget members that were dead or left before this time, keeping their floors."""
        gone = [m for m in self.members.values() if not m.is_live and m.state_since_s < before_s]
        for member in gone:
            del self.members[member.name]
            self.raise_floor(member.name, member.incarnation)
        return gone
