"""Network policies: created, replaced, deleted. Every node enforces what its replica has."""

from __future__ import annotations

from consensus.commands import CreateNetworkPolicy, DeleteNetworkPolicy, UpdateNetworkPolicy
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome, Done, conflict, not_found


def create(draft: Draft, command: CreateNetworkPolicy) -> AnyOutcome:
    name = command.policy.name
    if name in draft.state.network_policies:
        return conflict(f"network policy {name!r} exists already; PUT /security/network-policies/{name} replaces it")
    draft.put_network_policy(command.policy)
    return Done()


def update(draft: Draft, command: UpdateNetworkPolicy) -> AnyOutcome:
    if command.policy.name not in draft.state.network_policies:
        return not_found("network policy", command.policy.name)
    draft.put_network_policy(command.policy)
    return Done()


def delete(draft: Draft, command: DeleteNetworkPolicy) -> AnyOutcome:
    if command.name not in draft.state.network_policies:
        return not_found("network policy", command.name)
    draft.delete_network_policy(command.name)
    return Done()
