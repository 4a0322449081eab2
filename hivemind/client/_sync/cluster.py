# Made from _async by scripts/sync_client.py; change it there.
"""What users call for the cluster, its health and its alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class SyncClusterMethods(SyncOperations):
    """What users call for the cluster, its health and its alerts."""

    def health(self) -> models.Health:
        return typed(self.get("/health"), models.Health)

    def container_health(self, container_id: str) -> models.ContainerHealthReport:
        return typed(self.get(f"/health/container/{path_part(container_id)}"), models.ContainerHealthReport)

    def node_health(self, node_id: str) -> models.NodeHealthReport:
        return typed(self.get(f"/health/node/{path_part(node_id)}"), models.NodeHealthReport)

    def cluster(self) -> models.Cluster:
        return typed(self.get("/cluster"), models.Cluster)

    def join_token(self) -> str:
        return str((self.get("/cluster/token"))["token"])

    def transfer_leader(self, node: str | None = None) -> models.LeaderChanged:
        """Hands the leadership to `node`, or to the voter that is ahead of the others."""
        return typed(self.post("/cluster/transfer-leader", given({"node": node})), models.LeaderChanged)

    def backup(self, write: Callable[[bytes], object], *, consistent: bool = True) -> None:
        """Hands the whole replicated state to `write`, piece by piece: a file that `hivemind admin restore` takes.

        `consistent`: all that was acknowledged before is in it; False takes what the asked node has, also without a
        leader.
        """
        with self.download("/cluster/backup", consistent=consistent) as pieces:
            for piece in pieces:
                write(piece)

    def settings(self, **query: Scalar) -> Page[models.Setting]:
        """What may be set for the whole cluster, and what holds now."""
        return self.list_of("/config", "settings", models.Setting, query)

    def setting(self, key: str) -> models.Setting:
        return typed(self.get(f"/config/{path_part(key)}"), models.Setting)

    def set_setting(self, key: str, value: bool | float | str) -> Done:
        return typed(self.put(f"/config/{path_part(key)}", {"value": value}), Done)

    def unset_setting(self, key: str) -> Done:
        """Back to the default."""
        return typed(self.delete(f"/config/{path_part(key)}"), Done)

    def cluster_keys(self, **query: Scalar) -> Page[models.GossipKey]:
        """The keys that gossip is sealed with, called by their fingerprints; the used ones first."""
        return self.list_of("/cluster/keys", "keys", models.GossipKey, query)

    def install_cluster_key(self, key: str | None = None) -> models.GossipKeyChanged:
        """`key`: 32 bytes in base64; by default a new one is made."""
        return typed(self.post("/cluster/keys", given({"key": key})), models.GossipKeyChanged)

    def use_cluster_key(self, fingerprint: str) -> models.GossipKeyChanged:
        return typed(self.post(f"/cluster/keys/{path_part(fingerprint)}/use"), models.GossipKeyChanged)

    def remove_cluster_key(self, fingerprint: str) -> models.GossipKeyChanged:
        return typed(self.delete(f"/cluster/keys/{path_part(fingerprint)}"), models.GossipKeyChanged)

    def rotate_cluster_keys(self) -> models.GossipKeyChanged:
        """A new key is installed, used, and the only one that is left."""
        return typed(self.post("/cluster/rotate-keys"), models.GossipKeyChanged)

    def alerts(self, **query: Scalar) -> Page[models.Alert]:
        return self.list_of("/alerts", "alerts", models.Alert, query)

    def alert(self, alert_id: str) -> models.Alert:
        return typed(self.get(f"/alerts/{path_part(alert_id)}"), models.Alert)

    def acknowledge_alert(self, alert_id: str) -> Done:
        """Somebody looks after it."""
        return typed(self.post(f"/alerts/{path_part(alert_id)}/acknowledge"), Done)

    def remembered_events(
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
        return self.list_of("/events", "events", models.RememberedEvent, query)

    def metrics(self) -> str:
        """In Prometheus' text format."""
        return self.text("/metrics")
