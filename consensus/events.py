"""The history of events: the last 10,000, the same at every node, so that a client may move between nodes.

A follower holds only its position; one that falls behind what is remembered gets a Gap instead of the lost events,
and nobody is delayed by it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct

from consensus.model.event import Event, EventPosition

REMEMBERED = 10_000


class Gap(Struct, frozen=True):
    """Events after `after` and up to `until` are forgotten."""

    after: EventPosition
    until: EventPosition


class History(Struct, frozen=True):
    """Remembered events in order, and the position of the newest one that is forgotten (None: none is)."""

    events: tuple[Event, ...] = ()
    forgotten: EventPosition | None = None

    @classmethod
    def of(cls, events: Sequence[Event], forgotten: tuple[int, int] | None) -> History:
        return cls(tuple(events), None if forgotten is None else EventPosition(*forgotten))


class EventLog:
    """Appended to by the state machine, read by position."""

    def __init__(self, history: History | None = None, *, remembered: int = REMEMBERED) -> None:
        history = history or History()
        self._remembered = remembered
        self._events = list(history.events)
        self._forgotten = history.forgotten

    def append(self, events: Sequence[Event]) -> None:
        self._events += events
        # In blocks, so that appending is cheap, and small ones: to take 10,000 events down holds the loop for 20 ms.
        # What is visible beyond the limit is cut in `freeze`.
        if len(self._events) > self._remembered + self._remembered // 10:
            self._forget(len(self._events) - self._remembered)

    def _forget(self, count: int) -> None:
        self._forgotten = self._events[count - 1].position
        del self._events[:count]

    def freeze(self) -> History:
        excess = len(self._events) - self._remembered
        if excess > 0:
            self._forget(excess)
        return History(tuple(self._events), self._forgotten)

    @property
    def newest(self) -> EventPosition:
        if self._events:
            return self._events[-1].position
        return self._forgotten or EventPosition(0, 0)

    @property
    def before_oldest(self) -> EventPosition:
        """What is remembered is all that comes `after` this."""
        return self._forgotten or EventPosition(0, 0)

    def after(self, position: EventPosition, *, most: int = 500) -> list[Event] | Gap:
        """Up to `most` events that follow `position`, or the Gap that lies between."""
        if self._forgotten is not None and position < self._forgotten:
            return Gap(position, self._forgotten)
        start = bisect_right(self._events, position, key=lambda event: event.position)
        return self._events[start : start + most]
