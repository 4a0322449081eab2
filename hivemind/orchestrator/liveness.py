"""Which nodes are ready, restarting, lost or gone (design.md §3, "When is a node lost?").

Two witnesses make a node lost: membership, and the peer channel to the leader. A lost packet, or a gossip port that
a firewall closed, must not move containers that run well.
"""

from __future__ import annotations

from collections.abc import Mapping

from consensus.commands import SetNodeStatus
from consensus.model.node import Node, NodeStatus
from consensus.state import State
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.members import MemberState
from hivemind.orchestrator.observer import Evidence, is_back


def plan(state: State, evidence: Mapping[str, Evidence], config: OrchestratorConfig) -> list[SetNodeStatus]:
    """Verdicts that differ from what is agreed. JOINING nodes become ready only by their own StartNode."""
    verdicts = []
    for node in sorted(state.nodes.values(), key=lambda node: node.id):
        found = evidence.get(node.id)
        verdict = None if found is None else _judge(node, found, config)
        if verdict is not None:
            status, message = verdict
            verdicts.append(
                SetNodeStatus(
                    node_id=node.id, expected=node.status, status=status, boot_id=node.boot_id, message=message
                )
            )
    return verdicts


def _judge(node: Node, found: Evidence, config: OrchestratorConfig) -> tuple[NodeStatus, str] | None:
    match node.status:
        case NodeStatus.READY:
            return _judge_ready(node, found, config)
        case NodeStatus.RESTARTING:
            if is_back(node, found.view) and found.answers:
                return NodeStatus.READY, ""
            if _announced_leave(node, found):
                return NodeStatus.LEFT, "left"
            if found.in_status_s >= config.restart_grace_s and _silent(found, config):
                return NodeStatus.LOST, f"did not come back within {config.restart_grace_s:g} s of its restart"
        case NodeStatus.LOST:
            if is_back(node, found.view) and found.answers:
                return NodeStatus.READY, ""
    return None


def _judge_ready(node: Node, found: Evidence, config: OrchestratorConfig) -> tuple[NodeStatus, str] | None:
    view = found.view
    if view is not None and view.restarting and view.boot_id == node.boot_id:
        return NodeStatus.RESTARTING, "its daemon restarts"
    if _announced_leave(node, found):
        return NodeStatus.LEFT, "left"
    if (view is None or view.state is not MemberState.ALIVE) and _silent(found, config):
        word = "unheard of" if view is None else view.state.value
        return NodeStatus.LOST, f"{word} in gossip, and no answer for {config.lost_after_s:g} s"
    return None


def _announced_leave(node: Node, found: Evidence) -> bool:
    view = found.view
    return view is not None and view.state is MemberState.LEFT and not view.restarting and view.boot_id == node.boot_id


def _silent(found: Evidence, config: OrchestratorConfig) -> bool:
    return found.silent_s is not None and found.silent_s >= config.lost_after_s
