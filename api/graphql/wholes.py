"""What there is one of (the cluster, its health, the overlay), and the events: those of before, and those to come."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
)

from api.errors import InvalidRequest
from api.events.feed import Told
from api.graphql.asking import Info, told, world_of
from api.graphql.types import Json, Types
from api.graphql.world import EventQuery
from api.listing import DEFAULT_LIMIT, MAX_LIMIT
from api.route import Access, Need
from api.routes.cluster import ClusterAnswer
from api.routes.health import HealthAnswer, health_answer
from api.views.overlay import OverlayView, overlay_view

SEE_CLUSTER = Need(Access.VIEW, "cluster:read")
SEE_EVENTS = Need(Access.VIEW, "events:read")
_TEXTS = GraphQLList(GraphQLNonNull(GraphQLString))
_ABOUT_EVENTS = {
    "types": GraphQLArgument(_TEXTS),
    "resources": GraphQLArgument(_TEXTS),
    "since": GraphQLArgument(GraphQLString, description="the id of the last event that you have"),
}


def event_type() -> GraphQLObjectType:
    return GraphQLObjectType(
        "Event",
        {
            "id": GraphQLField(GraphQLNonNull(GraphQLString)),
            "type": GraphQLField(GraphQLNonNull(GraphQLString)),
            "data": GraphQLField(GraphQLNonNull(Json)),
        },
    )


def query_fields(types: Types, event: GraphQLObjectType) -> dict[str, GraphQLField]:
    events = GraphQLField(
        GraphQLNonNull(GraphQLList(GraphQLNonNull(event))),
        args={**_ABOUT_EVENTS, "limit": GraphQLArgument(GraphQLInt)},
        resolve=_events,
        description="Those that are remembered, the oldest first: the newest of them, or, after `since`, the next.",
    )
    return {
        "cluster": GraphQLField(types.struct(ClusterAnswer), resolve=_cluster),
        "health": GraphQLField(GraphQLNonNull(types.struct(HealthAnswer, "ClusterHealth")), resolve=_health),
        "overlay": GraphQLField(GraphQLNonNull(types.struct(OverlayView)), resolve=_overlay),
        "events": events,
    }


def subscription(event: GraphQLObjectType) -> GraphQLObjectType:
    events = GraphQLField(GraphQLNonNull(event), args=_ABOUT_EVENTS, resolve=lambda root, info, **_: root)
    return GraphQLObjectType("Subscription", {"events": events})


def _cluster(root: Any, info: Info) -> ClusterAnswer | None:
    world = world_of(info)
    with told():
        world.identity.authorise(SEE_CLUSTER)
    return world.cluster_answer


def _health(root: Any, info: Info) -> HealthAnswer:
    world = world_of(info)
    return health_answer(world.state, world.cluster)


def _overlay(root: Any, info: Info) -> OverlayView:
    world = world_of(info)
    with told():
        world.identity.authorise(SEE_CLUSTER)
    return overlay_view(world.state, world.members)


def _events(root: Any, info: Info, **given: Any) -> list[Told]:
    """Empty at first: the history may change while a query runs, so that it is read before the query runs again."""
    world = world_of(info)
    with told():
        world.identity.authorise(SEE_EVENTS)
        limit = given.get("limit")
        if limit is not None and not 1 <= limit <= MAX_LIMIT:
            raise InvalidRequest(f"limit: expected an integer, 1 to {MAX_LIMIT}, got {limit}")
        asked = EventQuery(
            types=tuple(given.get("types") or ()),
            resources=tuple(given.get("resources") or ()),
            since=given.get("since"),
            limit=limit or DEFAULT_LIMIT,
        )
        found = world.events.get(asked)
        if isinstance(found, InvalidRequest):
            raise found
    if found is None:
        world.wanted_events[asked] = None
        return []
    return found
