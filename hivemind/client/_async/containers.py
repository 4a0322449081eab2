"""What users call for containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Page, Scalar


class AsyncContainerMethods(AsyncOperations):
    """What users call for containers."""

    async def containers(self, **query: Scalar) -> Page[models.Container]:
        """Filters are `status`, `node`, `app`, and any field."""
        return await self.list_of("/containers", "containers", models.Container, query)

    async def container(self, container_id: str) -> models.ContainerDetail:
        return typed(await self.get(f"/containers/{path_part(container_id)}"), models.ContainerDetail)

    async def logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """`since` and `until` are RFC 3339 or unix seconds."""
        path = f"/containers/{path_part(container_id)}/logs"
        return str((await self.get(path, tail=tail, since=since, until=until))["logs"])

    def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """The lines as they are written."""
        return self.lines(f"/containers/{path_part(container_id)}/logs", follow=True, tail=tail, since=since)

    async def stats(self, container_id: str) -> models.Stats:
        return typed(await self.get(f"/containers/{path_part(container_id)}/stats"), models.Stats)
