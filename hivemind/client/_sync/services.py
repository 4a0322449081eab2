# Made from _async by scripts/sync_client.py; change it there.
"""What users call for services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def create_service(
        self,
        name: str,
        *,
        ports: Sequence[Mapping[str, Any]] | None = None,
        endpoints: Sequence[Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> Done:
        """A service that stands by itself. `settings` are those of `update_service`."""
        body = given({"name": name, "ports": ports, "endpoints": endpoints, **settings})
        return typed(self.post("/services", body), Done)

    def update_service(
        self,
        name: str,
        *,
        load_balancing_strategy: str | None = None,
        health_check: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Done:
        """What is left out stays as it is. `settings`: session_affinity, session_timeout, prefer, proxy_protocol,
        weights, ports, endpoints."""
        chosen = {"load_balancing_strategy": load_balancing_strategy, "health_check": health_check, **settings}
        return typed(self.put(f"/services/{path_part(name)}", given(chosen)), Done)

    def delete_service(self, name: str) -> Done:
        """One that no app is reached by."""
        return typed(self.delete(f"/services/{path_part(name)}"), Done)
