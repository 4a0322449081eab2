# Made from _async by scripts/sync_client.py; change it there.
"""What users call for apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from consensus.model.app_spec import AppSpec
from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class SyncAppMethods(SyncOperations):
    """What users call for apps."""

    def deploy(self, app: Mapping[str, Any] | AppSpec) -> models.Deployed:
        """`app` is the body of ``POST /deploy``: a mapping, or an AppSpec."""
        return typed(self.post("/deploy", app), models.Deployed)

    def apps(self, **query: Scalar) -> Page[models.App]:
        return self.list_of("/apps", "apps", models.App, query)

    def app(self, name: str) -> models.AppDetail:
        return typed(self.get(f"/apps/{path_part(name)}"), models.AppDetail)

    def scale(self, name: str, replicas: int) -> models.Scaled:
        return typed(self.post("/scale", {"name": name, "replicas": replicas}), models.Scaled)

    def restart(self, name: str) -> Done:
        return typed(self.post("/restart", {"name": name}), Done)

    def delete_app(self, name: str) -> Done:
        return typed(self.delete(f"/apps/{path_part(name)}"), Done)

    def update_app(self, app: Mapping[str, Any] | AppSpec) -> models.Updated:
        """`app` is all of what it shall be, as for `deploy`; it is rolled out.

        Without `image_digest`, its registry is asked anew which image its tag is.
        """
        name = app["name"] if isinstance(app, Mapping) else app.name
        return typed(self.put(f"/apps/{path_part(name)}", app), models.Updated)

    def app_history(self, name: str, **query: Scalar) -> Page[models.Revision]:
        return self.list_of(f"/apps/{path_part(name)}/history", "revisions", models.Revision, query)

    def rollback_app(
        self, name: str, *, to: int | None = None, strategy: Mapping[str, Any] | None = None
    ) -> models.Updated:
        """`to`: a number of the app's history; by default the one before the present."""
        body = given({"to": to, "strategy": strategy})
        return typed(self.post(f"/apps/{path_part(name)}/rollback", body), models.Updated)

    def app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """Of all its replicas, each line with its container's name."""
        return str((self.get(f"/apps/{path_part(name)}/logs", tail=tail, since=since, until=until))["logs"])

    def follow_app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractContextManager[Iterator[str]]:
        """Also of the replicas that are made meanwhile."""
        return self.lines(f"/apps/{path_part(name)}/logs", follow=True, tail=tail, since=since)

    def priority_classes(self, **query: Scalar) -> Page[models.PriorityClass]:
        return self.list_of("/priority-classes", "priority_classes", models.PriorityClass, query)

    def create_priority_class(self, name: str, value: int, *, description: str = "") -> Done:
        body = {"name": name, "value": value, "description": description}
        return typed(self.post("/priority-classes", body), Done)

    def delete_priority_class(self, name: str) -> Done:
        return typed(self.delete(f"/priority-classes/{path_part(name)}"), Done)
