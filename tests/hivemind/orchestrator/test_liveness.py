"""When is a node lost? (design.md §3)"""

from __future__ import annotations

from typing import Any

import pytest
from immutables import Map

from consensus.commands import SetNodeStatus
from consensus.model.node import Node, NodeStatus
from consensus.state import State
from hivemind.orchestrator import liveness
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.members import MemberState, MemberView
from hivemind.orchestrator.observer import Evidence, Observer
from tests.consensus.making import facts

CONFIG = OrchestratorConfig()
ALIVE, SUSPECT, DEAD, LEFT = MemberState.ALIVE, MemberState.SUSPECT, MemberState.DEAD, MemberState.LEFT


def node(status: NodeStatus, name: str = "n1") -> Node:
    return Node(id=name, facts=facts(), status=status, status_since_s=0, joined_at_s=0, boot_id="boot1")


def view(state: MemberState, *, boot_id: str = "boot1", restarting: bool = False) -> MemberView:
    return MemberView("n1", state, boot_id, restarting)


def verdict(status: NodeStatus, seen: MemberView | None, **evidence: Any) -> NodeStatus | None:
    state = State(nodes=Map({"n1": node(status)}))
    commands = liveness.plan(state, {"n1": Evidence(view=seen, **evidence)}, CONFIG)
    if not commands:
        return None
    (command,) = commands
    assert isinstance(command, SetNodeStatus)
    assert (command.expected, command.boot_id) == (status, "boot1")
    return command.status


@pytest.mark.parametrize("seen", [view(SUSPECT), view(DEAD), view(DEAD, boot_id="boot0"), None])
def test_lost_takes_two_witnesses(seen: MemberView | None) -> None:
    assert verdict(NodeStatus.READY, seen, silent_s=2.0) is NodeStatus.LOST
    assert verdict(NodeStatus.READY, seen, silent_s=1.9) is None
    assert verdict(NodeStatus.READY, seen, silent_s=None) is None
    assert verdict(NodeStatus.READY, view(ALIVE), silent_s=60.0) is None


def test_an_announced_restart_moves_nothing_until_the_grace_is_over() -> None:
    gone = view(DEAD, restarting=True)
    assert verdict(NodeStatus.READY, view(ALIVE, restarting=True)) is NodeStatus.RESTARTING
    assert verdict(NodeStatus.READY, gone, silent_s=9.0) is NodeStatus.RESTARTING
    assert verdict(NodeStatus.RESTARTING, gone, silent_s=59.0, in_status_s=59.0) is None
    assert verdict(NodeStatus.RESTARTING, gone, silent_s=60.0, in_status_s=60.0) is NodeStatus.LOST
    assert verdict(NodeStatus.RESTARTING, gone, silent_s=0.1, in_status_s=60.0) is None


def test_the_announcement_of_an_earlier_run_is_old_news() -> None:
    assert verdict(NodeStatus.READY, view(ALIVE, boot_id="boot0", restarting=True)) is None
    assert verdict(NodeStatus.READY, view(LEFT, boot_id="boot0")) is None


@pytest.mark.parametrize("status", [NodeStatus.LOST, NodeStatus.RESTARTING])
def test_back_is_who_is_alive_and_answers_in_the_same_run(status: NodeStatus) -> None:
    assert verdict(status, view(ALIVE), answers=True) is NodeStatus.READY
    assert verdict(status, view(ALIVE), answers=False) is None
    assert verdict(status, view(SUSPECT), answers=True) is None
    assert verdict(status, view(ALIVE, restarting=True), answers=True) is None
    # Another run is made ready by its own StartNode, which also says what the node is now.
    assert verdict(status, view(ALIVE, boot_id="boot2"), answers=True) is None


def test_leave_by_intent() -> None:
    assert verdict(NodeStatus.READY, view(LEFT)) is NodeStatus.LEFT
    assert verdict(NodeStatus.READY, view(LEFT, restarting=True)) is NodeStatus.RESTARTING


@pytest.mark.parametrize("status", [NodeStatus.JOINING, NodeStatus.LEFT])
def test_joining_and_left_nodes_are_not_judged(status: NodeStatus) -> None:
    for seen in (view(ALIVE), view(DEAD), view(LEFT), None):
        assert verdict(status, seen, silent_s=99.0, answers=True, in_status_s=99.0) is None


class TestObserver:
    def test_only_doubted_nodes_are_asked(self) -> None:
        observer = Observer("n0", CONFIG)
        nodes = [node(NodeStatus.READY, "n0"), node(NodeStatus.READY)]
        assert observer.look(nodes, {"n1": view(ALIVE)}, 0.0) == frozenset()
        assert observer.look(nodes, {"n1": view(SUSPECT)}, 1.0) == {"n1"}

    def test_silence_counts_from_the_first_question_and_from_each_answer(self) -> None:
        observer = Observer("n0", CONFIG)
        observer.look([node(NodeStatus.READY)], {"n1": view(SUSPECT)}, 10.0)
        assert observer.evidence(11.5)["n1"].silent_s == 1.5
        observer.answered("n1", 12.0)
        found = observer.evidence(12.5)["n1"]
        assert (found.silent_s, found.answers) == (0.5, True)
        observer.unanswered("n1")
        found = observer.evidence(13.0)["n1"]
        assert (found.silent_s, found.answers) == (1.0, False)

    def test_an_old_doubt_is_forgotten(self) -> None:
        observer = Observer("n0", CONFIG)
        observer.look([node(NodeStatus.READY)], {"n1": view(SUSPECT)}, 10.0)
        observer.look([node(NodeStatus.READY)], {"n1": view(ALIVE)}, 11.0)
        observer.answered("n1", 11.1)
        observer.look([node(NodeStatus.READY)], {"n1": view(SUSPECT)}, 20.0)
        assert observer.evidence(20.0)["n1"].silent_s == 0.0

    def test_a_new_leader_gives_gossip_time_to_hear_of_everybody(self) -> None:
        observer = Observer("n0", CONFIG)
        assert observer.look([node(NodeStatus.READY)], {}, 100.0) == frozenset()
        assert CONFIG.unheard_grace_s + 100.0 in observer.deadlines_s()
        assert observer.look([node(NodeStatus.READY)], {}, 110.0) == {"n1"}

    def test_time_in_a_status_is_measured_here(self) -> None:
        observer = Observer("n0", CONFIG)
        observer.look([node(NodeStatus.RESTARTING)], {}, 100.0)
        observer.look([node(NodeStatus.RESTARTING)], {}, 130.0)
        assert observer.evidence(131.0)["n1"].in_status_s == 31.0
        assert 160.0 in observer.deadlines_s()
        observer.look([node(NodeStatus.LOST)], {}, 161.0)
        assert observer.evidence(161.0)["n1"].in_status_s == 0.0

    def test_a_lost_node_that_gossip_hears_again_is_asked(self) -> None:
        observer = Observer("n0", CONFIG)
        assert observer.look([node(NodeStatus.LOST)], {"n1": view(DEAD)}, 0.0) == frozenset()
        assert observer.look([node(NodeStatus.LOST)], {"n1": view(ALIVE)}, 1.0) == {"n1"}
        assert not observer.evidence(1.0)["n1"].answers


@pytest.mark.parametrize("name", ["lost_after_s", "settle_s", "retry_pause_s"])
def test_settings_are_checked_and_named(name: str) -> None:
    CONFIG.validate()
    with pytest.raises(ValueError, match=name):
        OrchestratorConfig(**{name: 0.0}).validate()


def test_two_pings_fit_before_a_node_is_lost() -> None:
    for lost_after_s in (0.5, 2.0):
        config = OrchestratorConfig(lost_after_s=lost_after_s)
        config.validate()
        assert config.ping_timeout_s + config.ping_interval_s < lost_after_s
