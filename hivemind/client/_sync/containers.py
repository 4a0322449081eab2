# Made from _async by scripts/sync_client.py; change it there.
"""What users call for containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Page, Scalar


class SyncContainerMethods(SyncOperations):
    """What users call for containers."""

    def containers(self, **query: Scalar) -> Page[models.Container]:
        """Filters are `status`, `node`, `app`, and any field."""
        return self.list_of("/containers", "containers", models.Container, query)

    def container(self, container_id: str) -> models.ContainerDetail:
        return typed(self.get(f"/containers/{path_part(container_id)}"), models.ContainerDetail)

    def logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """`since` and `until` are RFC 3339 or unix seconds."""
        path = f"/containers/{path_part(container_id)}/logs"
        return str((self.get(path, tail=tail, since=since, until=until))["logs"])

    def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractContextManager[Iterator[str]]:
        """The lines as they are written."""
        return self.lines(f"/containers/{path_part(container_id)}/logs", follow=True, tail=tail, since=since)

    def stats(self, container_id: str) -> models.Stats:
        return typed(self.get(f"/containers/{path_part(container_id)}/stats"), models.Stats)
