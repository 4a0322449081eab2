"""The overlay: look at it, and extend it."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call
from api.route import Access, Route
from api.views.overlay import OverlayView, overlay_view
from consensus.commands import ExtendOverlay


class RangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    range: str


async def get_overlay(call: Call) -> Answer:
    return Answer(overlay_view(call.state, call.deps.cluster.members()))


async def add_range(call: Call) -> Answer:
    body = await call.body(RangeBody)
    await call.propose(ExtendOverlay(range=body.range))
    return Answer(Message(name=body.range, message="Range added successfully"), status=201)


ROUTES = (
    Route(
        method="GET",
        path="/overlay",
        access=Access.VIEW,
        permission="cluster:read",
        handler=get_overlay,
        answer=OverlayView,
    ),
    Route(
        method="POST",
        path="/overlay/ranges",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=add_range,
        body=RangeBody,
        answer=Message,
        status=201,
    ),
)
