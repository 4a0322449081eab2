"""What resolvers have in common: the world that a query sees, and how they say no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphql import GraphQLError, GraphQLResolveInfo

from api.errors import ApiError
from api.graphql.world import World

Info = GraphQLResolveInfo[World]


def world_of(info: Info) -> World:
    world: World = info.context
    return world


@contextmanager
def told() -> Iterator[None]:
    """An error of the API's, as GraphQL tells of it."""
    try:
        yield
    except ApiError as error:
        raise GraphQLError(error.message, extensions={"code": error.code}) from None
