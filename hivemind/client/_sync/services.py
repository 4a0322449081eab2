# Made from _async by scripts/sync_client.py; change it there.
"""What users call for services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class SyncServiceMethods(SyncOperations):
    """What users call for services."""

    def services(self, **query: Scalar) -> Page[models.Service]:
        return self.list_of("/services", "services", models.Service, query)

    def service(self, name: str) -> models.Service:
        return typed(self.get(f"/services/{path_part(name)}"), models.Service)

    def update_service(
        self, name: str, *, load_balancing_strategy: str | None = None, health_check: Mapping[str, Any] | None = None
    ) -> Done:
        """What is left out stays as it is."""
        body = given({"load_balancing_strategy": load_balancing_strategy, "health_check": health_check})
        return typed(self.put(f"/services/{path_part(name)}", body), Done)
