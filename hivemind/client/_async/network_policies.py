"""What users call for network policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar

_PATH = "/security/network-policies"


class AsyncNetworkPolicyMethods(AsyncOperations):
    """What users call for network policies."""

    async def network_policies(self, **query: Scalar) -> Page[models.NetworkPolicy]:
        return await self.list_of(_PATH, "policies", models.NetworkPolicy, query)

    async def network_policy(self, name: str) -> models.NetworkPolicy:
        return typed(await self.get(f"{_PATH}/{path_part(name)}"), models.NetworkPolicy)

    async def create_network_policy(self, policy: Mapping[str, Any]) -> Done:
        return typed(await self.post(_PATH, policy), Done)

    async def update_network_policy(self, name: str, policy: Mapping[str, Any]) -> Done:
        """Replaces all of it."""
        return typed(await self.put(f"{_PATH}/{path_part(name)}", policy), Done)

    async def delete_network_policy(self, name: str) -> Done:
        return typed(await self.delete(f"{_PATH}/{path_part(name)}"), Done)
