"""Nodes: let in, started, judged by the leader, drained, removed."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import subnets
from consensus.apply.task import forget
from consensus.commands import (
    AddNode,
    ChangeNodeLabels,
    LabelNode,
    RemoveNode,
    ReportPorts,
    SetMaintenance,
    SetNodeStatus,
    StartNode,
)
from consensus.draft import Draft
from consensus.model.event import EventType
from consensus.model.node import Node, NodeFacts, NodeStatus
from consensus.outcomes import AnyOutcome, Done, conflict, not_found

_GONE = (NodeStatus.LOST, NodeStatus.LEFT, NodeStatus.JOINING)
_HEALTH_WORD = {
    NodeStatus.JOINING: "unknown",
    NodeStatus.READY: "healthy",
    NodeStatus.RESTARTING: "degraded",
    NodeStatus.LOST: "unhealthy",
    NodeStatus.LEFT: "unhealthy",
}


def health_word(status: NodeStatus) -> str:
    """A node's status as the health endpoints and events say it."""
    return _HEALTH_WORD[status]


def _too_old(draft: Draft, node_id: str, facts: NodeFacts) -> AnyOutcome | None:
    level = draft.state.feature_level
    if facts.feature_level >= level:
        return None
    return conflict(
        f"node {node_id!r} knows feature level {facts.feature_level}, the cluster is at {level}: upgrade it"
    )


def add(draft: Draft, command: AddNode) -> AnyOutcome:
    refusal = _too_old(draft, command.node_id, command.facts)
    if refusal is not None:
        return refusal
    known = draft.state.nodes.get(command.node_id)
    if known is not None and known.status in (NodeStatus.READY, NodeStatus.RESTARTING):
        return conflict(
            f"a node {command.node_id!r} is a member already, at {known.facts.address}:{known.facts.peer_port}"
            f" ({known.status}); choose another --name, or remove that node first"
        )
    for node in draft.state.nodes.values():
        same_place = (node.facts.address, node.facts.peer_port) == (
            command.facts.address,
            command.facts.peer_port,
        )
        if same_place and node.id != command.node_id and node.status is NodeStatus.READY:
            return conflict(f"node {node.id!r} is a member at {node.facts.address}:{node.facts.peer_port} already")
    draft.put_node(
        Node(
            id=command.node_id,
            facts=command.facts,
            status_since_s=draft.time_s,
            joined_at_s=known.joined_at_s if known else draft.time_s,
            labels=known.labels if known else {},
            taints=known.taints if known else [],
            subnet=known.subnet if known else None,
            subnet6=known.subnet6 if known else None,
        )
    )
    subnets.settle(draft)
    return Done()


def start(draft: Draft, command: StartNode) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    if node.status is NodeStatus.LEFT:
        return conflict(f"node {node.id!r} has left the cluster; join it again with a token")
    refusal = _too_old(draft, node.id, command.facts)
    if refusal is not None:
        return refusal
    started = replace(node, boot_id=command.boot_id, facts=command.facts, overlay=None, taken_ports=())
    draft.put_node(started)
    subnets.settle(draft)
    started = draft.state.nodes[node.id]
    _change_status(draft, started, NodeStatus.READY, "")
    return Done()


def set_status(draft: Draft, command: SetNodeStatus) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    if node.status is not command.expected:
        return conflict(f"node {node.id!r} is {node.status}, not {command.expected}")
    if command.boot_id and command.boot_id != node.boot_id:
        return conflict(f"node {node.id!r} was started again meanwhile")
    _change_status(draft, node, command.status, command.message)
    return Done()


def set_maintenance(draft: Draft, command: SetMaintenance) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    drains = command.enable and command.drain
    count = len(draft.state.task_ids_by_node.get(node.id, ())) if drains else 0
    if drains and node.draining:
        # Said again, it goes on: what has gone already is part of it.
        count = max(count, node.drained_tasks)
    draft.put_node(replace(node, maintenance=command.enable, draining=drains, drained_tasks=count))
    return Done()


def label(draft: Draft, command: LabelNode) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    draft.put_node(replace(node, labels=command.labels, taints=command.taints))
    return Done()


def change_labels(draft: Draft, command: ChangeNodeLabels) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    labels = {**node.labels, **{key: value for key, value in command.labels.items() if value is not None}}
    for key, value in command.labels.items():
        if value is None:
            labels.pop(key, None)
    replaced = {(taint.key, taint.effect) for taint in command.add_taints}
    taints = [
        taint
        for taint in node.taints
        if (taint.key, taint.effect) not in replaced
        and not any(gone.key == taint.key and gone.effect in ("", taint.effect) for gone in command.remove_taints)
    ]
    draft.put_node(replace(node, labels=labels, taints=[*taints, *command.add_taints]))
    return Done()


def remove(draft: Draft, command: RemoveNode) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    # In an order that is the same on every node: successors' ids are minted in it.
    tasks = sorted(draft.state.tasks_on_node(node.id), key=lambda task: task.id)
    at_work = sum(not task.ended for task in tasks)
    if at_work and not command.force:
        return conflict(f"node {node.id!r} still has {at_work} tasks; drain it first, or use force")
    for task in tasks:
        forget(draft, task, recreate=task.wanted)
    _change_status(draft, node, NodeStatus.LEFT, "removed")
    draft.delete_node(node.id)
    subnets.settle(draft)
    return Done()


def report_ports(draft: Draft, command: ReportPorts) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    if command.boot_id != node.boot_id:
        return conflict(f"node {node.id!r} was started again meanwhile")
    draft.put_node(replace(node, taken_ports=command.taken))
    return Done()


def _change_status(draft: Draft, node: Node, status: NodeStatus, message: str) -> None:
    if node.status is status:
        return
    draft.put_node(replace(node, status=status, status_message=message, status_since_s=draft.time_s))
    resources = [f"node/{node.id}"]
    about = {"id": node.id, "node_id": node.id, "address": node.facts.address, "status": status.value}
    if status is NodeStatus.READY and node.status in _GONE:
        draft.emit(EventType.NODE_JOINED, resources, **about)
    if health_word(node.status) != health_word(status):
        draft.emit(
            EventType.NODE_HEALTH_CHANGED,
            resources,
            **about,
            previous_status=health_word(node.status),
            new_status=health_word(status),
            message=message,
        )
    if status in (NodeStatus.LOST, NodeStatus.LEFT):
        draft.emit(EventType.NODE_LEFT, resources, **about, message=message)
