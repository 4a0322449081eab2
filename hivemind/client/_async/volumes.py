"""What users call for volumes."""

from __future__ import annotations

from collections.abc import Mapping

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncVolumeMethods(AsyncOperations):
    """What users call for volumes."""

    async def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return await self.list_of("/volumes", "volumes", models.Volume, query)

    async def volume(self, name: str) -> models.Volume:
        return typed(await self.get(f"/volumes/{path_part(name)}"), models.Volume)

    async def create_volume(
        self, name: str, *, size: str | int | None = None, type: str = "local", labels: Mapping[str, str] = {}
    ) -> Done:
        body = {"name": name, "size": size, "type": type, "labels": dict(labels)}
        return typed(await self.post("/volumes/create", body), Done)

    async def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(await self.post("/volumes/delete", {"name": name, "force": force}), Done)
