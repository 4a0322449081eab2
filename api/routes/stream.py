"""Events: those that are remembered as a list, and all that follow as Server-Sent Events."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Stream
from api.call import Call
from api.events import websocket as event_socket
from api.events.feed import Feed, Filter, Told, all_remembered
from api.events.sse import EventBody
from api.listing import DEFAULT_LIMIT, MAX_LIMIT, Pagination
from api.route import Access, Kind, Parameter, Route
from api.sockets import SocketCall, SocketRoute

PARAMETERS = (
    Parameter("types", description="event types, separated by commas"),
    Parameter("resources", description="resources, separated by commas, such as app/web"),
    Parameter("since", description="the id of the last event that you have"),
)


class EventsAnswer(Struct, frozen=True):
    """Oldest first. Without `offset` the newest ones; after `since` the oldest, so that going on from the last id
    of one answer misses nothing. A `gap` stands for events that are forgotten.
    """

    events: list[Told]
    total: int
    pagination: Pagination


async def list_events(call: Call) -> Answer:
    query = call.query
    wanted = Filter.of(call.reach, query.words("types"), query.words("resources"))
    since = query.text("since")
    limit = query.integer("limit", least=1, most=MAX_LIMIT) or DEFAULT_LIMIT
    offset = query.integer("offset")
    events = await all_remembered(call.deps.replica, wanted, since=since)
    total = len(events)
    if offset is None:
        offset = 0 if since is not None else max(0, total - limit)
    pagination = Pagination(
        total=total,
        limit=limit,
        offset=offset,
        next_offset=offset + limit if offset + limit < total else None,
        prev_offset=max(0, offset - limit) if offset > 0 else None,
    )
    return Answer(EventsAnswer(events[offset : offset + limit], total, pagination))


async def stream_events(call: Call) -> Stream:
    wanted = Filter.of(call.reach, call.query.words("types"), call.query.words("resources"))
    since = call.query.text("since") or call.headers.get("last-event-id")
    feed = Feed(call.deps.replica, since=since, wanted=wanted)
    return Stream(
        EventBody(
            feed,
            call.services.closing,
            heartbeat_s=call.deps.settings.heartbeat_s,
            still_allowed=call.still_allowed,
        ),
        "text/event-stream; charset=utf-8",
    )


async def event_websocket(call: SocketCall) -> None:
    query, deps = call.query, call.services.deps
    wanted = Filter.of(call.reach, query.words("types"), query.words("resources"))
    since = query.text("since") or call.headers.get("last-event-id")
    feed = Feed(deps.replica, since=since, wanted=wanted)
    await call.socket.accept()
    await event_socket.run(
        call.socket,
        feed,
        call.services.closing,
        heartbeat_s=deps.settings.heartbeat_s,
        still_allowed=call.still_allowed,
        frames=call.services.frames,
        send_raw=call.send_raw,
    )


ROUTES = (
    Route(
        method="GET",
        path="/events",
        access=Access.VIEW,
        permission="events:read",
        handler=list_events,
        parameters=(
            *PARAMETERS,
            Parameter("limit", Kind.INTEGER, f"at most so many events, 1 to {MAX_LIMIT}"),
            Parameter("offset", Kind.INTEGER, "leave out so many of the oldest"),
        ),
        answer=EventsAnswer,
        sifted=True,
    ),
    Route(
        method="GET",
        path="/stream/events",
        access=Access.VIEW,
        permission="events:read",
        handler=stream_events,
        parameters=PARAMETERS,
        media_type="text/event-stream",
        sifted=True,
    ),
)
SOCKETS = (
    SocketRoute(
        path="/ws", access=Access.VIEW, permission="events:read", handler=event_websocket, parameters=PARAMETERS
    ),
)
