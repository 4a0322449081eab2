"""Who votes: 1, 3 or 5 nodes, one change at a time, spread over the label `topology.zone`.

With two nodes one votes: two voters would stop when either is lost. A change from an odd number is begun only when
the next odd number can be reached, since an even one needs more votes and survives no more losses. Only to spread
better over zones one votes more for a moment: there the newcomer votes before the other does not any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from consensus.model.node import Node, NodeStatus
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.observer import Evidence


class AddVoter(Struct, frozen=True):
    node_id: str


class RemoveVoter(Struct, frozen=True):
    node_id: str


class HandOver(Struct, frozen=True):
    """The leader is in maintenance: `node_id` leads from now on."""

    node_id: str


VoterChange = AddVoter | RemoveVoter | HandOver
ZONE = "topology.zone"


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
    candidates = _candidates(members, nodes, voters, caught_up)
    wanted = voters_wanted(len(members))
    missing = wanted - len(voters)
    if _leaves(nodes.get(self_id)) and (missing < 0 or not others or self_id not in nodes):
        # Never down to a leader that is about to go: the others could not elect anybody without it.
        return RemoveVoter(self_id) if others else AddVoter(candidates[0]) if candidates else None
    if missing < 0:
        return RemoveVoter(_surplus(others, nodes, voters))
    lost = [voter for voter in others if _lost_for_good(nodes[voter], evidence.get(voter), config)]
    if lost and candidates:
        return RemoveVoter(lost[0])
    if missing and candidates and len(candidates) >= (1 if len(voters) % 2 == 0 else 2):
        return AddVoter(candidates[0])
    if not missing and candidates and _spreads_better(candidates[0], others, nodes, voters):
        return AddVoter(candidates[0])
    return _hand_over(nodes, self_id, others, caught_up)


def _zones(nodes: Mapping[str, Node], voters: Sequence[str]) -> Counter[str | None]:
    """How many vote in each zone; nodes of which none is known count as one zone."""
    return Counter(_zone(nodes[voter]) for voter in voters if voter in nodes)


def _zone(node: Node) -> str | None:
    return node.all_labels.get(ZONE)


def _surplus(others: Sequence[str], nodes: Mapping[str, Node], voters: Sequence[str]) -> str:
    """A lost one first: losing its vote costs nothing. Then one of the fullest zone, and the youngest member there,
    which has led the least."""
    zones = _zones(nodes, voters)

    def rank(voter: str) -> tuple[bool, int, float, str]:
        node = nodes[voter]
        return (not node.holds_tasks, zones[_zone(node)], node.joined_at_s, voter)

    return max(others, key=rank)


def _spreads_better(candidate: str, others: Sequence[str], nodes: Mapping[str, Node], voters: Sequence[str]) -> bool:
    """Whether a zone has two voters more than the candidate's, and one of them is not the leader."""
    zones = _zones(nodes, voters)
    here = zones[_zone(nodes[candidate])]
    return nodes[candidate].schedulable and any(zones[_zone(nodes[voter])] >= here + 2 for voter in others)


def _hand_over(
    nodes: Mapping[str, Node], self_id: str, others: Sequence[str], caught_up: Callable[[str], bool]
) -> HandOver | None:
    leader = nodes.get(self_id)
    if leader is None or not leader.maintenance:
        return None
    heirs = [voter for voter in others if nodes[voter].schedulable and caught_up(voter)]
    return HandOver(heirs[0]) if heirs else None


def may_change(
    nodes: Mapping[str, Node],
    self_id: str,
    voters: Sequence[str],
    evidence: Mapping[str, Evidence],
    config: OrchestratorConfig,
) -> bool:
    """Whether there is a change to make that may wait only for somebody to catch up, of which no news comes."""
    return plan(nodes, self_id, voters, lambda node_id: True, evidence, config) is not None


def _candidates(
    members: Sequence[Node], nodes: Mapping[str, Node], voters: Sequence[str], caught_up: Callable[[str], bool]
) -> list[str]:
    """Those of the emptiest zones first."""
    zones = _zones(nodes, voters)
    able = [
        node
        for node in members
        if node.status is NodeStatus.READY and not node.draining and node.id not in voters and caught_up(node.id)
    ]
    able.sort(key=lambda node: (node.maintenance, zones[_zone(node)], node.joined_at_s, node.id))
    return [node.id for node in able]


def _leaves(leader: Node | None) -> bool:
    return leader is None or leader.draining or leader.status is NodeStatus.LEFT


def _lost_for_good(node: Node, found: Evidence | None, config: OrchestratorConfig) -> bool:
    return node.status is NodeStatus.LOST and found is not None and found.in_status_s >= config.voter_grace_s
