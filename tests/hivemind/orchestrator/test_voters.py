"""Who votes (design.md §10.6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.model.node import Node, NodeStatus
from hivemind.orchestrator import voters
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.observer import Evidence
from hivemind.orchestrator.voters import ZONE, AddVoter, HandOver, RemoveVoter
from tests.consensus.making import facts

CONFIG = OrchestratorConfig()


def node(name: str, status: NodeStatus = NodeStatus.READY, **more: Any) -> Node:
    return Node(id=name, facts=facts(), status=status, status_since_s=0, joined_at_s=int(name[1:]), **more)


def plan(
    nodes: list[Node], voting: list[str], *, behind: set[str] | None = None, lost_s: float = 99.0
) -> voters.VoterChange | None:
    evidence = {n.id: Evidence(in_status_s=lost_s) for n in nodes}
    known = {n.id: n for n in nodes}
    return voters.plan(known, "n1", voting, lambda name: name not in (behind or set()), evidence, CONFIG)


def may_change(nodes: list[Node], voting: list[str]) -> bool:
    evidence = {n.id: Evidence(in_status_s=0.0) for n in nodes}
    return voters.may_change({n.id: n for n in nodes}, "n1", voting, evidence, CONFIG)


def ready(count: int) -> list[Node]:
    return [node(f"n{i}") for i in range(1, count + 1)]


@pytest.mark.parametrize(("members", "wanted"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (300, 5)])
def test_one_three_or_five_vote(members: int, wanted: int) -> None:
    nodes, voting = ready(members), ["n1"]
    while isinstance(change := plan(nodes, voting), AddVoter):
        voting.append(change.node_id)
    assert change is None
    assert len(voting) == wanted
    assert not may_change(nodes, voting)


def test_growth_begins_only_when_the_next_odd_number_can_be_reached() -> None:
    assert plan(ready(3), ["n1"], behind={"n3"}) is None
    assert plan(ready(3), ["n1", "n2"], behind={"n3"}) is None
    assert may_change(ready(3), ["n1"])
    assert plan(ready(3), ["n1", "n2"]) == AddVoter("n3")


def test_a_lost_voter_is_replaced_after_the_grace_by_one_that_caught_up() -> None:
    nodes = [*ready(2), node("n3", NodeStatus.LOST), node("n4")]
    assert plan(nodes, ["n1", "n2", "n3"], lost_s=29.0) is None
    assert plan(nodes, ["n1", "n2", "n3"], behind={"n4"}) is None
    assert plan(nodes, ["n1", "n2", "n3"]) == RemoveVoter("n3")
    assert plan(nodes, ["n1", "n2"]) == AddVoter("n4")


def test_a_loss_alone_never_shrinks_the_voters() -> None:
    assert plan([*ready(2), node("n3", NodeStatus.LOST)], ["n1", "n2", "n3"]) is None
    assert plan([*ready(2), node("n3", NodeStatus.RESTARTING)], ["n1", "n2", "n3"]) is None


def test_a_leader_that_is_on_its_way_out_leaves_a_voter_behind() -> None:
    """It took the votes of the others, kept its own, and was gone: nobody could be elected any more."""
    leaving = node("n1", draining=True)
    assert plan([leaving, node("n2")], ["n1"], behind={"n2"}) is None
    assert plan([leaving, node("n2")], ["n1"]) == AddVoter("n2")
    assert plan([leaving, node("n2")], ["n1", "n2"]) == RemoveVoter("n1")
    assert plan([leaving, *ready(3)[1:]], ["n1", "n2", "n3"]) is None
    assert plan(ready(3)[1:], ["n1", "n2", "n3"]) == RemoveVoter("n1")
    assert plan([leaving], ["n1"]) is None


@pytest.mark.parametrize("status", [NodeStatus.LEFT, NodeStatus.JOINING])
def test_who_left_or_starts_anew_votes_no_more(status: NodeStatus) -> None:
    nodes = [*ready(2), node("n3", status)]
    assert plan(nodes, ["n1", "n2", "n3"]) == RemoveVoter("n3")
    assert plan(nodes, ["n1", "n2"]) == RemoveVoter("n2")
    assert plan(nodes, ["n1"]) is None
    assert plan(ready(4), ["n1", "n2", "n9"]) == RemoveVoter("n9")


def test_draining_nodes_are_not_chosen_and_those_in_maintenance_last() -> None:
    nodes = [*ready(2), node("n3", draining=True), node("n4", maintenance=True), node("n5")]
    assert plan(nodes, ["n1", "n2"]) == AddVoter("n5")


def zoned(name: str, zone: str, **more: Any) -> Node:
    return node(name, labels={ZONE: zone}, **more)


def test_the_voters_are_spread_over_zones() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "a"), zoned("n3", "a"), zoned("n4", "b"), zoned("n5", "c")]
    voting = ["n1"]
    while isinstance(change := plan(nodes[:4], voting), AddVoter):
        voting.append(change.node_id)
    assert (voting, change) == (["n1", "n4", "n2"], None)
    assert plan(nodes[:4], ["n1", "n2", "n4"]) is None


def test_voters_that_share_a_zone_are_swapped_for_others_one_at_a_time_and_never_fewer() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "a"), zoned("n3", "a"), zoned("n4", "b")]
    assert plan(nodes, ["n1", "n2", "n3"], behind={"n4"}) is None
    assert may_change(nodes, ["n1", "n2", "n3"])
    assert plan(nodes, ["n1", "n2", "n3"]) == AddVoter("n4")
    assert plan(nodes, ["n1", "n2", "n3", "n4"]) == RemoveVoter("n3")
    assert plan(nodes, ["n1", "n2", "n4"]) is None
    assert not may_change(nodes, ["n1", "n2", "n4"])


def test_a_zone_is_left_when_its_nodes_go() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "b"), zoned("n3", "c"), zoned("n4", "a"), zoned("n5", "b")]
    five = ["n1", "n2", "n3", "n4", "n5"]
    assert plan(nodes, five) is None
    # Three remain wanted: the two zones that have two give one each, the leader stays.
    four = [*nodes[:3], node("n4", NodeStatus.LEFT, labels={ZONE: "a"}), nodes[4]]
    assert plan(four, five) == RemoveVoter("n4")
    assert plan(four, ["n1", "n2", "n3", "n5"]) == RemoveVoter("n5")


def test_a_leader_in_maintenance_hands_over_to_a_voter_that_is_not() -> None:
    nodes = [node("n1", maintenance=True), node("n2", maintenance=True), node("n3"), node("n4")]
    assert plan(nodes, ["n1", "n2", "n3"]) == HandOver("n3")
    assert plan(nodes, ["n1", "n2", "n3"], behind={"n3"}) is None
    assert plan(nodes[:2], ["n1"]) is None


@given(
    st.lists(st.sampled_from(list(NodeStatus)), min_size=1, max_size=9),
    st.sets(st.integers(2, 9)),
    st.sets(st.integers(2, 9)),
)
@settings(max_examples=300, deadline=None)
def test_changes_come_to_an_end_and_never_remove_the_leader(
    statuses: list[NodeStatus], voting: set[int], behind: set[int]
) -> None:
    zones = [{}, {ZONE: "a"}, {ZONE: "b"}]
    others = enumerate(statuses, 2)
    nodes = [node("n1"), *(node(f"n{i}", status, labels=zones[(i * i) % 3]) for i, status in others)]
    current = ["n1", *(f"n{i}" for i in sorted(voting))]
    for _ in range(30):
        change = plan(nodes, current, behind={f"n{i}" for i in behind})
        match change:
            case None:
                break
            case AddVoter(name):
                assert name not in current
                current.append(name)
            case RemoveVoter(name):
                assert name != "n1"
                current.remove(name)
    assert change is None
    assert len(current) <= 5
