"""Events for one client: from where it left off, filtered, then live. It holds only a position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import trio
from msgspec import Struct

from api.auth.reach import Reach
from api.errors import InvalidRequest
from consensus.events import Gap
from consensus.follow import event_id, resume_position
from consensus.machine import Machine
from consensus.model.event import Event, EventType

GAP = "gap"
_SSE_NAMES = {kind: kind.value.replace("_", ".", 1) for kind in EventType}


class Told(Struct, frozen=True, omit_defaults=True):
    """An event as clients get it. `type` has underscores."""

    type: str
    data: Any
    id: str

    @property
    def sse_name(self) -> str:
        return _SSE_NAMES[EventType(self.type)] if self.type != GAP else GAP


class Filter(Struct, frozen=True):
    """Empty: all within `reach`. A resource is ``app/web``, ``app:web``, a kind (``apps``) or just an id (``web``)."""

    reach: Reach
    types: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reach: Reach, types: Iterable[str], resources: Iterable[str]) -> Filter:
        """Both spellings of types are understood. Raises InvalidRequest for a type that there is not."""
        known = {kind.value for kind in EventType}
        chosen = {name.replace(".", "_") for name in types}
        for name in chosen - known:
            raise InvalidRequest(
                f"parameter 'types': unknown event type {name!r}; there are: {', '.join(sorted(known))}"
            )
        return cls(reach, frozenset(chosen), frozenset(name.replace(":", "/", 1) for name in resources))

    def passes(self, event: Event) -> bool:
        if not self.reach.holds(event.namespace):
            return False
        if self.types and event.type.value not in self.types:
            return False
        if not self.resources:
            return True
        for resource in event.resources:
            kind, _, name = resource.partition("/")
            if not self.resources.isdisjoint((resource, name, kind, kind + "s", f"{kind}s/{name}")):
                return True
        return False


class Feed:
    """A client's place in the history.

    Args:
        since: the id of the last event that the client has; None: from now on.
        remembered: begin with the oldest that is remembered, where `since` is None.

    Raises:
        InvalidRequest: `since` is not an event id.
    """

    def __init__(self, machine: Machine, *, since: str | None, wanted: Filter, remembered: bool = False) -> None:
        self._machine = machine
        self._wanted = wanted
        try:
            self._position = machine.events.before_oldest if remembered else resume_position(machine, since)
        except ValueError as error:
            raise InvalidRequest(f"parameter 'since': {error}") from None
        self.live = False

    @property
    def last_id(self) -> str:
        """The id of the newest event that this client has, or that was not for it."""
        return event_id(self._machine, self._position)

    def ready(self) -> list[Told]:
        """The next events that are there already, in order; empty when the client has all.

        `live` is True from the first time that it had all.
        """
        events = self.take()
        return [events] if isinstance(events, Told) else [self.tell(event) for event in events]

    def take(self) -> list[Event] | Told:
        """As `ready`, before they are told; a Gap is told already."""
        while True:
            news = self._machine.events.after(self._position)
            if isinstance(news, Gap):
                return self._gap(news)
            if not news:
                self.live = True
                return []
            self._position = news[-1].position
            wanted = [event for event in news if self._wanted.passes(event)]
            if wanted:
                return wanted

    async def more(self) -> None:
        """Returns when something was applied since. Call it when `ready` was empty. May be cancelled."""
        # `ready` and this run without a checkpoint between, so nothing is applied unseen.
        await self._machine.watch.changed(self._machine.watch.index)

    def tell(self, event: Event) -> Told:
        return Told(event.type.value, event.data, event_id(self._machine, event.position))

    def _gap(self, gap: Gap) -> Told:
        self._position = gap.until
        return Told(
            GAP,
            {
                "after": event_id(self._machine, gap.after),
                "until": event_id(self._machine, gap.until),
                "message": "the events between are forgotten; read the resources anew",
            },
            event_id(self._machine, gap.until),
        )


async def remembered(machine: Machine, wanted: Filter, *, since: str | None, limit: int) -> list[Told]:
    """The newest `limit` events that are remembered; after `since` the oldest. Raises InvalidRequest."""
    events = await all_remembered(machine, wanted, since=since)
    return events[:limit] if since is not None else events[-limit:]


async def all_remembered(machine: Machine, wanted: Filter, *, since: str | None) -> list[Told]:
    """The oldest first. Raises InvalidRequest."""
    feed = Feed(machine, since=since, wanted=wanted, remembered=since is None)
    events: list[Told] = []
    while told := feed.ready():
        events += told
        await trio.lowlevel.checkpoint()
    return events
