"""What users call for nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncNodeMethods(AsyncOperations):
    """What users call for nodes."""

    async def nodes(self, **query: Scalar) -> Page[models.Node]:
        return await self.list_of("/nodes", "nodes", models.Node, query)

    async def node(self, node_id: str) -> models.NodeDetail:
        return typed(await self.get(f"/nodes/{path_part(node_id)}"), models.NodeDetail)

    async def set_maintenance(self, node_id: str, enable: bool, *, drain: bool = False) -> Done:
        body = {"enable": enable, "drain": drain}
        return typed(await self.post(f"/nodes/{path_part(node_id)}/maintenance", body), Done)

    async def label_node(
        self, node_id: str, labels: Mapping[str, str], *, taints: Sequence[models.Taint] | None = None
    ) -> Done:
        """Replaces the labels set so before, and, where given, the taints."""
        body = {"labels": dict(labels), "taints": taints}
        return typed(await self.put(f"/nodes/{path_part(node_id)}/labels", body), Done)

    async def change_node_labels(
        self,
        node_id: str,
        labels: Mapping[str, str | None] | None = None,
        *,
        add_taints: Sequence[models.Taint] = (),
        remove_taints: Sequence[Mapping[str, str]] = (),
    ) -> Done:
        """Changes only what is named; None takes a label away."""
        body = {"labels": dict(labels or {}), "add_taints": add_taints, "remove_taints": remove_taints}
        return typed(await self.patch(f"/nodes/{path_part(node_id)}/labels", body), Done)

    async def remove_node(self, node_id: str, *, force: bool = False) -> Done:
        """`force`: also while it has containers."""
        return typed(await self.delete(f"/nodes/{path_part(node_id)}", force=force), Done)

    async def overlay(self) -> models.Overlay:
        return typed(await self.get("/overlay"), models.Overlay)

    async def encrypt_overlay(self, encryption: str) -> Done:
        """Seal packets between nodes: `wireguard`, or `off`."""
        return typed(await self.put("/overlay", {"encryption": encryption}), Done)

    async def extend_overlay(self, cidr: str) -> Done:
        """A range of addresses for the containers of more nodes."""
        return typed(await self.post("/overlay/ranges", {"range": cidr}), Done)

    async def leave(self, node_id: str) -> Done:
        """The node drains, leaves the cluster, and ends."""
        return typed(await self.post(f"/nodes/{path_part(node_id)}/leave"), Done)
