"""Events of one server, without a client of one's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from hivemind.client.client import Client
from hivemind.client.credentials import Credentials
from hivemind.client.sse import ClientEvent

__all__ = ["ClientEvent", "follow"]


async def follow(
    server: str, credentials: Credentials | None, params: Mapping[str, str], since: str | None
) -> AsyncGenerator[ClientEvent, None]:
    """Every event after `since` (None: from now on); `params` may have `types` and `resources`. See `Client.events`."""
    types, resources = (tuple(filter(None, params.get(name, "").split(","))) for name in ("types", "resources"))
    async with Client(server, credentials=credentials) as client:
        async for event in client.events(types=types, resources=resources, since=since):
            yield event
