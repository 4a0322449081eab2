"""Who votes: 1, 3 or 5 nodes, one change at a time.

With two nodes one votes: two voters would stop when either is lost. A change from an odd number is begun only when
the next odd number can be reached, since an even one needs more votes and survives no more losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from consensus.model.node import Node, NodeStatus
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.observer import Evidence


class AddVoter(Struct, frozen=True):
    node_id: str


class RemoveVoter(Struct, frozen=True):
    node_id: str


VoterChange = AddVoter | RemoveVoter


def voters_wanted(members: int) -> int:
    """How many of `members` nodes vote."""
    return 5 if members >= 5 else 3 if members >= 3 else 1


def plan(
    nodes: Mapping[str, Node],
    self_id: str,
    voters: Sequence[str],
    caught_up: Callable[[str], bool],
    evidence: Mapping[str, Evidence],
    config: OrchestratorConfig,
) -> VoterChange | None:
    """The next change, or None. `self_id` leads, and gives up its vote only where it is on its way out."""
    members = [node for node in nodes.values() if node.status not in (NodeStatus.LEFT, NodeStatus.JOINING)]
    others = sorted(voter for voter in voters if voter != self_id)
    # One that joins again under its old name has lost its log: its vote could elect a leader without acknowledged
    # entries.
    gone = [v for v in others if v not in nodes or nodes[v].status in (NodeStatus.LEFT, NodeStatus.JOINING)]
    if gone:
        return RemoveVoter(gone[0])
    candidates = _candidates(members, voters, caught_up)
    wanted = voters_wanted(len(members))
    missing = wanted - len(voters)
    if _leaves(nodes.get(self_id)) and (missing < 0 or not others or self_id not in nodes):
        # Never down to a leader that is about to go: the others could not elect anybody without it.
        return RemoveVoter(self_id) if others else AddVoter(candidates[0]) if candidates else None
    if missing < 0:
        # A lost one first: losing its vote costs nothing. Else the youngest member, which has led the least.
        return RemoveVoter(
            max(others, key=lambda voter: (not nodes[voter].holds_tasks, nodes[voter].joined_at_s, voter))
        )
    lost = [voter for voter in others if _lost_for_good(nodes[voter], evidence.get(voter), config)]
    if lost and candidates:
        return RemoveVoter(lost[0])
    if missing and candidates and len(candidates) >= (1 if len(voters) % 2 == 0 else 2):
        return AddVoter(candidates[0])
    return None


def may_grow(nodes: Mapping[str, Node], voters: Sequence[str]) -> bool:
    """Whether a voter is missing and a node that could be one is there, perhaps not caught up yet."""
    members = [node for node in nodes.values() if node.status not in (NodeStatus.LEFT, NodeStatus.JOINING)]
    able = any(node.status is NodeStatus.READY and node.id not in voters for node in members)
    return able and len(voters) < voters_wanted(len(members))


def _candidates(members: Sequence[Node], voters: Sequence[str], caught_up: Callable[[str], bool]) -> list[str]:
    able = [
        node
        for node in members
        if node.status is NodeStatus.READY and not node.draining and node.id not in voters and caught_up(node.id)
    ]
    able.sort(key=lambda node: (node.maintenance, node.joined_at_s, node.id))
    return [node.id for node in able]


def _leaves(leader: Node | None) -> bool:
    return leader is None or leader.draining or leader.status is NodeStatus.LEFT


def _lost_for_good(node: Node, found: Evidence | None, config: OrchestratorConfig) -> bool:
    return node.status is NodeStatus.LOST and found is not None and found.in_status_s >= config.voter_grace_s
