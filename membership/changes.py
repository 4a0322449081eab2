"""Handing changes to subscribers that may be slow.

A subscriber never holds the protocol up and never makes a queue grow without bound: changes that it has not taken
yet are coalesced, so that at most one of each kind waits for each member, the newest. User events cannot be coalesced;
of them only the last thousand wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import structlog
import trio

from membership.effects import Change, MemberChanged, MemberConflict, MemberReaped, UserEventHeard, VitalsChanged


def _subject(change: Change) -> tuple[str, str]:
    match change:
        case MemberChanged(member=member):
            return ("member", member.name)
        case MemberReaped(name=name):
            return ("member", name)
        case MemberConflict(name=name):
            return ("conflict", name)
        case VitalsChanged(vitals=vitals):
            return ("vitals", vitals.name)
        case UserEventHeard(event=event):
            return ("event", f"{event.author}/{event.epoch}/{event.number}")


MAX_EVENTS_WAITING = 1000

log = structlog.get_logger()


class Subscription:
    """The changes that one subscriber has yet to take: `async for change in subscription`."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], Change] = {}
        self._arrived = trio.Event()
        self._events_waiting = 0

    async def receive(self) -> Change:
        """The oldest change that was not taken yet; waits for one."""
        await trio.lowlevel.checkpoint()
        while not self._pending:
            self._arrived = trio.Event()
            await self._arrived.wait()
        change = self._pending.pop(next(iter(self._pending)))
        self._events_waiting -= isinstance(change, UserEventHeard)
        return change

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Change:
        return await self.receive()

    def put(self, change: Change) -> None:
        """Let the subscriber know, in place of what it has not taken of the same subject."""
        subject = _subject(change)
        waiting = self._pending.pop(subject, None)
        if isinstance(waiting, MemberChanged) and isinstance(change, MemberChanged):
            # The subscriber saw the state before the first of the two, not the one in between.
            change = msgspec.structs.replace(change, previous=waiting.previous)
        if isinstance(change, UserEventHeard):
            self._make_room_for_an_event()
        self._pending[subject] = change
        self._arrived.set()

    def _make_room_for_an_event(self) -> None:
        self._events_waiting += 1
        if self._events_waiting > MAX_EVENTS_WAITING:
            oldest = next(subject for subject in self._pending if subject[0] == "event")
            del self._pending[oldest]
            self._events_waiting -= 1
            log.warning("event_dropped_for_slow_subscriber", user_event=oldest[1])


class Subscribers:
    """All subscriptions of one member."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """A subscription that ends with the context."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, change: Change) -> None:
        """Tell all of them."""
        for subscription in self._subscriptions:
            subscription.put(change)
