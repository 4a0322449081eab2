# Made from _async by scripts/sync_client.py; change it there.
"""What users call for volumes."""

from __future__ import annotations

from collections.abc import Mapping

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class SyncVolumeMethods(SyncOperations):
    """What users call for volumes."""

    def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return self.list_of("/volumes", "volumes", models.Volume, query)

    def volume(self, name: str) -> models.Volume:
        return typed(self.get(f"/volumes/{path_part(name)}"), models.Volume)

    def create_volume(
        self, name: str, *, size: str | int | None = None, type: str = "local", labels: Mapping[str, str] = {}
    ) -> Done:
        body = {"name": name, "size": size, "type": type, "labels": dict(labels)}
        return typed(self.post("/volumes/create", body), Done)

    def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(self.post("/volumes/delete", {"name": name, "force": force}), Done)
