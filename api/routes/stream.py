"""Events as Server-Sent Events."""

from __future__ import annotations

from api.answer import Stream
from api.call import Call
from api.events.feed import Feed, Filter
from api.events.sse import EventBody
from api.route import Access, Parameter, Route

PARAMETERS = (
    Parameter("types", description="event types, separated by commas"),
    Parameter("resources", description="resources, separated by commas, such as app/web"),
    Parameter("since", description="the id of the last event that you have"),
)


async def stream_events(call: Call) -> Stream:
    wanted = Filter.of(call.query.words("types"), call.query.words("resources"))
    since = call.query.text("since") or call.headers.get("last-event-id")
    feed = Feed(call.deps.replica, since=since, wanted=wanted)
    return Stream(
        EventBody(feed, call.services.closing, heartbeat_s=call.deps.settings.heartbeat_s),
        "text/event-stream; charset=utf-8",
    )


ROUTES = (Route(method="GET", path="/stream/events", access=Access.VIEW, handler=stream_events, parameters=PARAMETERS),)
