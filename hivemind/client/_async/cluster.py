"""What users call for the cluster, its health and its alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncClusterMethods(AsyncOperations):
    """What users call for the cluster, its health and its alerts."""

    async def health(self) -> models.Health:
        return typed(await self.get("/health"), models.Health)

    async def container_health(self, container_id: str) -> models.ContainerHealthReport:
        return typed(await self.get(f"/health/container/{path_part(container_id)}"), models.ContainerHealthReport)

    async def node_health(self, node_id: str) -> models.NodeHealthReport:
        return typed(await self.get(f"/health/node/{path_part(node_id)}"), models.NodeHealthReport)

    async def cluster(self) -> models.Cluster:
        return typed(await self.get("/cluster"), models.Cluster)

    async def join_token(self) -> str:
        return str((await self.get("/cluster/token"))["token"])

    async def transfer_leader(self, node: str | None = None) -> models.LeaderChanged:
        """Hands the leadership to `node`, or to the voter that is ahead of the others."""
        return typed(await self.post("/cluster/transfer-leader", given({"node": node})), models.LeaderChanged)

    async def backup(self, write: Callable[[bytes], object], *, consistent: bool = True) -> None:
        """Hands the whole replicated state to `write`, piece by piece: a file that `hivemind admin restore` takes.

        `consistent`: all that was acknowledged before is in it; False takes what the asked node has, also without a
        leader.
        """
        async with self.download("/cluster/backup", consistent=consistent) as pieces:
            async for piece in pieces:
                write(piece)

    async def settings(self, **query: Scalar) -> Page[models.Setting]:
        """What may be set for the whole cluster, and what holds now."""
        return await self.list_of("/config", "settings", models.Setting, query)

    async def setting(self, key: str) -> models.Setting:
        return typed(await self.get(f"/config/{path_part(key)}"), models.Setting)

    async def set_setting(self, key: str, value: bool | float | str) -> Done:
        return typed(await self.put(f"/config/{path_part(key)}", {"value": value}), Done)

    async def unset_setting(self, key: str) -> Done:
        """Back to the default."""
        return typed(await self.delete(f"/config/{path_part(key)}"), Done)

    async def cluster_keys(self, **query: Scalar) -> Page[models.GossipKey]:
        """The keys that gossip is sealed with, called by their fingerprints; the used ones first."""
        return await self.list_of("/cluster/keys", "keys", models.GossipKey, query)

    async def install_cluster_key(self, key: str | None = None) -> models.GossipKeyChanged:
        """`key`: 32 bytes in base64; by default a new one is made."""
        return typed(await self.post("/cluster/keys", given({"key": key})), models.GossipKeyChanged)

    async def use_cluster_key(self, fingerprint: str) -> models.GossipKeyChanged:
        return typed(await self.post(f"/cluster/keys/{path_part(fingerprint)}/use"), models.GossipKeyChanged)

    async def remove_cluster_key(self, fingerprint: str) -> models.GossipKeyChanged:
        return typed(await self.delete(f"/cluster/keys/{path_part(fingerprint)}"), models.GossipKeyChanged)

    async def rotate_cluster_keys(self) -> models.GossipKeyChanged:
        """A new key is installed, used, and the only one that is left."""
        return typed(await self.post("/cluster/rotate-keys"), models.GossipKeyChanged)

    async def alerts(self, **query: Scalar) -> Page[models.Alert]:
        return await self.list_of("/alerts", "alerts", models.Alert, query)

    async def alert(self, alert_id: str) -> models.Alert:
        return typed(await self.get(f"/alerts/{path_part(alert_id)}"), models.Alert)

    async def acknowledge_alert(self, alert_id: str) -> Done:
        """Somebody looks after it."""
        return typed(await self.post(f"/alerts/{path_part(alert_id)}/acknowledge"), Done)

    async def remembered_events(
        self,
        *,
        types: Sequence[str] = (),
        resources: Sequence[str] = (),
        since: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Page[models.RememberedEvent]:
        """Oldest first; without `since` and `offset` the newest of them. `events` goes on from there."""
        filters = {"types": ",".join(types) or None, "resources": ",".join(resources) or None, "since": since}
        query = {**filters, "limit": limit, "offset": offset}
        return await self.list_of("/events", "events", models.RememberedEvent, query)

    async def metrics(self) -> str:
        """In Prometheus' text format."""
        return await self.text("/metrics")
