# Made from _async by scripts/sync_client.py; change it there.
"""What users call for network policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar

_PATH = "/security/network-policies"


class SyncNetworkPolicyMethods(SyncOperations):
    """What users call for network policies."""

    def network_policies(self, **query: Scalar) -> Page[models.NetworkPolicy]:
        return self.list_of(_PATH, "policies", models.NetworkPolicy, query)

    def network_policy(self, name: str) -> models.NetworkPolicy:
        return typed(self.get(f"{_PATH}/{path_part(name)}"), models.NetworkPolicy)

    def create_network_policy(self, policy: Mapping[str, Any]) -> Done:
        return typed(self.post(_PATH, policy), Done)

    def update_network_policy(self, name: str, policy: Mapping[str, Any]) -> Done:
        """Replaces all of it."""
        return typed(self.put(f"{_PATH}/{path_part(name)}", policy), Done)

    def delete_network_policy(self, name: str) -> Done:
        return typed(self.delete(f"{_PATH}/{path_part(name)}"), Done)
