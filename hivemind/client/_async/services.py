"""What users call for services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncServiceMethods(AsyncOperations):
    """What users call for services."""

    async def services(self, **query: Scalar) -> Page[models.Service]:
        return await self.list_of("/services", "services", models.Service, query)

    async def service(self, name: str) -> models.Service:
        return typed(await self.get(f"/services/{path_part(name)}"), models.Service)

    async def create_service(
        self,
        name: str,
        *,
        ports: Sequence[Mapping[str, Any]] | None = None,
        endpoints: Sequence[Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> Done:
        """A service that stands by itself. `settings` are those of `update_service`."""
        body = given({"name": name, "ports": ports, "endpoints": endpoints, **settings})
        return typed(await self.post("/services", body), Done)

    async def update_service(
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
        return typed(await self.put(f"/services/{path_part(name)}", given(chosen)), Done)

    async def delete_service(self, name: str) -> Done:
        """One that no app is reached by."""
        return typed(await self.delete(f"/services/{path_part(name)}"), Done)
