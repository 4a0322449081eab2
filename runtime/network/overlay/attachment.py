"""What the overlay makes of a container's network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct


class Attachment(Struct, frozen=True):
    """The engine's network that a container is put on, and the resolvers that it asks, in this order."""

    network: str
    resolvers: tuple[str, ...] = ()


Attach = Callable[[], Awaitable[Attachment | None]]
"""Answers with where new containers go; None: to the engine's default network."""


async def default_network() -> None:
    """For nodes without an overlay."""
