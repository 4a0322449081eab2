"""The API's operations as methods: those of every noun (a file each), and several at once.

Lists take `limit`, `offset`, `sort`, `order`, and any scalar field as a filter. All raise as `request` does, and
UnexpectedAnswer where the server's version has another answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from hivemind.client import models
from hivemind.client._async.access import AsyncAccessMethods
from hivemind.client._async.apps import AsyncAppMethods
from hivemind.client._async.backups import AsyncBackupMethods
from hivemind.client._async.cluster import AsyncClusterMethods
from hivemind.client._async.containers import AsyncContainerMethods
from hivemind.client._async.deployments import AsyncDeploymentMethods
from hivemind.client._async.jobs import AsyncJobMethods
from hivemind.client._async.network_policies import AsyncNetworkPolicyMethods
from hivemind.client._async.nodes import AsyncNodeMethods
from hivemind.client._async.services import AsyncServiceMethods
from hivemind.client._async.volumes import AsyncVolumeMethods
from hivemind.client.answers import typed


class AsyncMethods(
    AsyncContainerMethods,
    AsyncAppMethods,
    AsyncDeploymentMethods,
    AsyncJobMethods,
    AsyncServiceMethods,
    AsyncNetworkPolicyMethods,
    AsyncVolumeMethods,
    AsyncBackupMethods,
    AsyncNodeMethods,
    AsyncClusterMethods,
    AsyncAccessMethods,
):
    """What users call."""

    async def batch(
        self,
        operations: Sequence[models.Operation],
        *,
        atomic: bool = False,
    ) -> list[models.OperationResult]:
        """Each is answered on its own, in order. `atomic`: all of them, which must be changes, or none."""
        data = await self.post("/batch", {"operations": operations, "atomic": atomic})
        return typed(data["results"], list[models.OperationResult])
