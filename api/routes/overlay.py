"""The overlay: look at it, extend it, encrypt it."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call
from api.errors import InvalidRequest
from api.route import Access, Route
from api.views.overlay import OverlayView, overlay_view
from consensus.commands import EncryptOverlay, ExtendOverlay
from consensus.model.network import Encryption, in_ranges
from consensus.state import State


class RangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    range: str


class OverlayBody(Struct, frozen=True, forbid_unknown_fields=True):
    encryption: Encryption


async def get_overlay(call: Call) -> Answer:
    return Answer(overlay_view(call.state, call.deps.cluster.members()))


async def add_range(call: Call) -> Answer:
    body = await call.body(RangeBody)
    _refuse_ones_with_nodes(call.state, body.range)
    await call.propose(ExtendOverlay(range=body.range, ipv6=":" in body.range))
    return Answer(Message(name=body.range, message="Range added successfully"), status=201)


def _refuse_ones_with_nodes(state: State, text: str) -> None:
    """A container's subnet there would take other nodes out of this one's reach, and a range is never taken away."""
    for node in state.nodes.values():
        try:
            inside = in_ranges([text], node.facts.address)
        except ValueError:
            # What is wrong with the range is said in more detail where it is added; a node may have a name.
            continue
        if inside:
            raise InvalidRequest(f"range: {text} has the address of node {node.id}, {node.facts.address}")


async def encrypt(call: Call) -> Answer:
    body = await call.body(OverlayBody)
    await call.propose(EncryptOverlay(encryption=body.encryption))
    return Answer(Message(name=body.encryption.value, message="Overlay updated successfully"))


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
        method="PUT",
        path="/overlay",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=encrypt,
        body=OverlayBody,
        answer=Message,
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
