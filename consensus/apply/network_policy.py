"""Network policies: created, replaced, deleted. Every node enforces what its replica has."""

from __future__ import annotations

from consensus.commands import CreateNetworkPolicy, DeleteNetworkPolicy, UpdateNetworkPolicy
from consensus.draft import Draft
from consensus.model.network import Encryption
from consensus.model.network_policy import NetworkPolicy
from consensus.outcomes import AnyOutcome, Done, Refusal, conflict, invalid, not_found


def create(draft: Draft, command: CreateNetworkPolicy) -> AnyOutcome:
    name = command.policy.name
    if name in draft.state.network_policies:
        return conflict(f"network policy {name!r} exists already; PUT /security/network-policies/{name} replaces it")
    if (refusal := _unencrypted(draft, command.policy)) is not None:
        return refusal
    draft.put_network_policy(command.policy)
    return Done()


def update(draft: Draft, command: UpdateNetworkPolicy) -> AnyOutcome:
    if command.policy.name not in draft.state.network_policies:
        return not_found("network policy", command.policy.name)
    if (refusal := _unencrypted(draft, command.policy)) is not None:
        return refusal
    draft.put_network_policy(command.policy)
    return Done()


def delete(draft: Draft, command: DeleteNetworkPolicy) -> AnyOutcome:
    if command.name not in draft.state.network_policies:
        return not_found("network policy", command.name)
    draft.delete_network_policy(command.name)
    return Done()


def _unencrypted(draft: Draft, policy: NetworkPolicy) -> Refusal | None:
    cluster = draft.state.cluster
    if not policy.encryption_required or (cluster is not None and cluster.network.encryption is not Encryption.OFF):
        return None
    return invalid(
        "encryption_required: traffic between containers is not encrypted in this cluster, so that it cannot be"
        " required; turn it on with: hivemind overlay encrypt wireguard"
    )
