# Made from _async by scripts/sync_client.py; change it there.
"""The API's operations as methods: those of every noun (a file each), and several at once.

Lists take `limit`, `offset`, `sort`, `order`, and any scalar field as a filter. All raise as `request` does, and
UnexpectedAnswer where the server's version has another answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from hivemind.client import models
from hivemind.client._sync.access import SyncAccessMethods
from hivemind.client._sync.apps import SyncAppMethods
from hivemind.client._sync.backups import SyncBackupMethods
from hivemind.client._sync.cluster import SyncClusterMethods
from hivemind.client._sync.containers import SyncContainerMethods
from hivemind.client._sync.deployments import SyncDeploymentMethods
from hivemind.client._sync.jobs import SyncJobMethods
from hivemind.client._sync.network_policies import SyncNetworkPolicyMethods
from hivemind.client._sync.nodes import SyncNodeMethods
from hivemind.client._sync.services import SyncServiceMethods
from hivemind.client._sync.volumes import SyncVolumeMethods
from hivemind.client.answers import typed


class SyncMethods(
    SyncContainerMethods,
    SyncAppMethods,
    SyncDeploymentMethods,
    SyncJobMethods,
    SyncServiceMethods,
    SyncNetworkPolicyMethods,
    SyncVolumeMethods,
    SyncBackupMethods,
    SyncNodeMethods,
    SyncClusterMethods,
    SyncAccessMethods,
):
    """What users call."""

    def batch(
        self,
        operations: Sequence[models.Operation],
        *,
        atomic: bool = False,
    ) -> list[models.OperationResult]:
        """Each is answered on its own, in order. `atomic`: all of them, which must be changes, or none."""
        data = self.post("/batch", {"operations": operations, "atomic": atomic})
        return typed(data["results"], list[models.OperationResult])
