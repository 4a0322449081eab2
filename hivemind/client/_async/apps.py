"""What users call for apps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from consensus.model.app_spec import AppSpec
from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncAppMethods(AsyncOperations):
    """What users call for apps."""

    async def deploy(self, app: Mapping[str, Any] | AppSpec) -> models.Deployed:
        """`app` is the body of ``POST /deploy``: a mapping, or an AppSpec."""
        return typed(await self.post("/deploy", app), models.Deployed)

    async def apps(self, **query: Scalar) -> Page[models.App]:
        return await self.list_of("/apps", "apps", models.App, query)

    async def app(self, name: str) -> models.AppDetail:
        return typed(await self.get(f"/apps/{path_part(name)}"), models.AppDetail)

    async def scale(self, name: str, replicas: int) -> models.Scaled:
        return typed(await self.post("/scale", {"name": name, "replicas": replicas}), models.Scaled)

    async def restart(self, name: str) -> Done:
        return typed(await self.post("/restart", {"name": name}), Done)

    async def delete_app(self, name: str) -> Done:
        return typed(await self.delete(f"/apps/{path_part(name)}"), Done)

    async def update_app(self, app: Mapping[str, Any] | AppSpec) -> models.Updated:
        """`app` is all of what it shall be, as for `deploy`; it is rolled out.

        Without `image_digest`, its registry is asked anew which image its tag is.
        """
        name = app["name"] if isinstance(app, Mapping) else app.name
        return typed(await self.put(f"/apps/{path_part(name)}", app), models.Updated)

    async def app_history(self, name: str, **query: Scalar) -> Page[models.Revision]:
        return await self.list_of(f"/apps/{path_part(name)}/history", "revisions", models.Revision, query)

    async def rollback_app(
        self, name: str, *, to: int | None = None, strategy: Mapping[str, Any] | None = None
    ) -> models.Updated:
        """`to`: a number of the app's history; by default the one before the present."""
        body = given({"to": to, "strategy": strategy})
        return typed(await self.post(f"/apps/{path_part(name)}/rollback", body), models.Updated)

    async def app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """Of all its replicas, each line with its container's name."""
        return str((await self.get(f"/apps/{path_part(name)}/logs", tail=tail, since=since, until=until))["logs"])

    def follow_app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Also of the replicas that are made meanwhile."""
        return self.lines(f"/apps/{path_part(name)}/logs", follow=True, tail=tail, since=since)

    async def priority_classes(self, **query: Scalar) -> Page[models.PriorityClass]:
        return await self.list_of("/priority-classes", "priority_classes", models.PriorityClass, query)

    async def create_priority_class(self, name: str, value: int, *, description: str = "") -> Done:
        body = {"name": name, "value": value, "description": description}
        return typed(await self.post("/priority-classes", body), Done)

    async def delete_priority_class(self, name: str) -> Done:
        return typed(await self.delete(f"/priority-classes/{path_part(name)}"), Done)
