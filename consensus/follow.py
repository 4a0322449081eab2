"""Following the events as they come: history first, then live, without a gap or a repeat between the two."""

from __future__ import annotations

from collections.abc import AsyncIterator

from consensus.events import Gap
from consensus.machine import Machine
from consensus.model.event import Event, EventId, EventPosition


def event_id(machine: Machine, position: EventPosition) -> str:
    cluster = machine.state.cluster
    return str(EventId("" if cluster is None else cluster.epoch, position))


def resume_position(machine: Machine, since: str | None) -> EventPosition:
    """Where to go on after event id `since`; from now on where it is None.

    An id of another epoch tells of another history: going on from the beginning gives what is remembered, after
    a Gap where something is forgotten.

    Raises:
        ValueError: `since` is not an event id.
    """
    if since is None:
        return machine.events.newest
    known = EventId.parse(since)
    cluster = machine.state.cluster
    if cluster is None or known.epoch != cluster.epoch:
        return EventPosition(0, 0)
    return known.position


async def follow(machine: Machine, position: EventPosition) -> AsyncIterator[Event | Gap]:
    """Every event after `position`, for ever. A Gap stands for those that are forgotten.

    Close it (`contextlib.aclosing`) when done.
    """
    while True:
        index = machine.watch.index
        news = machine.events.after(position)
        if isinstance(news, Gap):
            yield news
            position = news.until
            continue
        for event in news:
            yield event
            position = event.position
        if not news:
            await machine.watch.changed(index)
