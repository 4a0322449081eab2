"""Encryption of the overlay: turned on only where every node can do it, and off only where no policy requires it."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import EncryptOverlay
from consensus.draft import Draft
from consensus.model.network import Encryption, OverlayMode
from consensus.model.node import Node, NodeStatus
from consensus.outcomes import AnyOutcome, Done, conflict


def encrypt(draft: Draft, command: EncryptOverlay) -> AnyOutcome:
    cluster = draft.state.cluster
    if cluster is None:
        return conflict("the cluster is not founded yet")
    reason = _needed(draft) if command.encryption is Encryption.OFF else _impossible(draft, command.encryption)
    if reason is not None:
        return conflict(reason)
    draft.put_cluster(replace(cluster, network=replace(cluster.network, encryption=command.encryption)))
    return Done()


def _needed(draft: Draft) -> str | None:
    requiring = sorted(name for name, policy in draft.state.network_policies.items() if policy.encryption_required)
    if not requiring:
        return None
    return f"network policy {requiring[0]!r} has encryption_required: change or delete it first"


def _impossible(draft: Draft, encryption: Encryption) -> str | None:
    for node in sorted(draft.state.nodes.values(), key=lambda node: node.id):
        reason = _lacks(node, encryption)
        if reason is not None:
            return f"node {node.id!r} cannot encrypt: {reason}"
    return None


def _lacks(node: Node, encryption: Encryption) -> str | None:
    if node.facts.overlay is OverlayMode.OFF or node.status is not NodeStatus.READY:
        # One that comes back later, and cannot, says that it is degraded.
        return None
    if not node.facts.overlay_key:
        return "it has no key; upgrade it"
    if node.overlay is None:
        return "its daemon is starting and has not told what its machine has; try again"
    capability = node.overlay.capability(encryption.value)
    if capability is None:
        return "it has not told what its machine has; upgrade it"
    return None if capability.available else capability.detail
