"""Network policies, and which containers they select."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.network_policy import EgressRule, IngressRule, NetworkPolicy, Selector
from consensus.state import State


class NetworkPolicyItem(Struct, frozen=True, kw_only=True):
    """`containers` are those that it selects now; on the nodes `not_enforced_on` it does not hold, since there is no
    overlay (the node's `network` says why), but for connections to published ports."""

    name: str
    description: str
    selector: Selector
    ingress_rules: list[IngressRule]
    egress_rules: list[EgressRule]
    policy_types: list[str]
    encryption_required: bool
    traffic_logging: bool
    containers: list[str]
    not_enforced_on: list[str]


def network_policy_item(state: State, policy: NetworkPolicy) -> NetworkPolicyItem:
    selected = [task for task in state.tasks.values() if task.wanted and policy.selector.selects(state.labels_of(task))]
    nodes = {task.node_id for task in selected if task.node_id is not None and not state.filters_packets(task.node_id)}
    return NetworkPolicyItem(
        name=policy.name,
        description=policy.description,
        selector=policy.selector,
        ingress_rules=policy.ingress_rules,
        egress_rules=policy.egress_rules,
        policy_types=[each for each in ("ingress", "egress") if policy.closes(each)],
        encryption_required=policy.encryption_required,
        traffic_logging=policy.traffic_logging,
        containers=sorted(task.id for task in selected),
        not_enforced_on=sorted(nodes),
    )
