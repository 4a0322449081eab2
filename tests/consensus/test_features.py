"""Feature levels: nothing is proposed that a node could not apply, and what it cannot apply stops it loudly."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from consensus import commands as c
from consensus import features
from consensus.commands.base import Command
from consensus.entry import CommandId, Entry, encode
from consensus.machine import Machine
from consensus.model.deployment import Change
from consensus.model.hook import Hook, Hooks
from consensus.model.job import JobSpec
from consensus.model.strategy import ABTesting, Variant
from consensus.model.task import TaskStatus
from consensus.outcomes import Done, Refusal
from consensus.proposer import ClusterProposer, NotAccepted
from hivemind.orchestrator.features import plan
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts, spec

ROTATE = c.RotateTokenKey(b"key", 0.0)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that added `RotateTokenKey`, and statuses with a message."""
    monkeypatch.setattr(features, "LEVEL", 2)
    monkeypatch.setattr(features, "COMMANDS_SINCE", {c.RotateTokenKey: 2})
    monkeypatch.setattr(features, "FIELDS_SINCE", {(TaskStatus, "message"): 2})


def node(feed: Feed, number: int, level: int) -> object:
    told = replace(facts(number), feature_level=level)
    if f"n{number}" not in feed.state.nodes and isinstance(refusal := feed(c.AddNode(f"n{number}", told)), Refusal):
        return refusal
    return feed(c.StartNode(f"n{number}", "b", told))


def founded() -> Feed:
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    return feed


@pytest.mark.usefixtures("newer")
def test_what_a_command_needs_is_what_is_new_in_it() -> None:
    assert features.level_of(c.DeployApp(spec("web"))) == 1
    assert features.level_of(ROTATE) == 2
    assert features.level_of(c.Batch([c.DeployApp(spec("web")), ROTATE])) == 2
    for message, level in (("", 1), ("died", 2)):
        report = c.TaskReport("web.1.a", TaskStatus(message=message))
        assert features.level_of(c.ReportTasks("n1", [report], [])) == level


def test_fields_that_are_left_out_need_nothing() -> None:
    """Those of lists, too: their default is made anew for each value."""
    hooks = Hooks(pre=Hook(command="true", image="migrate:1"))
    test = ABTesting(variants=[Variant(image="web:2", percentage=50)], hooks=hooks)
    plain = [c.DeployApp(spec("web")), c.CreateJob(JobSpec(name="job", image="job:1"))]
    plain.append(c.CreateDeployment("web", Change(image="web:2"), test))
    assert [features.level_of(command) for command in plain] == [1, 1, 1]
    assert features.level_of(c.DeployApp(spec("web", image_architectures=["amd64"]))) == 2


def test_the_level_is_raised_when_all_nodes_know_it_and_never_lowered() -> None:
    feed = founded()
    node(feed, 1, 2)
    node(feed, 2, 1)
    assert plan(feed.state) == []
    assert isinstance(feed(c.RaiseFeatureLevel(2)), Refusal)
    node(feed, 2, 2)
    feed.accepted(*plan(feed.state))
    assert (feed.state.feature_level, plan(feed.state)) == (2, [])
    assert feed(c.RaiseFeatureLevel(1)) == Done()
    assert feed.state.feature_level == 2


def test_a_node_that_knows_less_is_not_let_in_any_more() -> None:
    feed = founded()
    node(feed, 1, 2)
    feed.accepted(c.RaiseFeatureLevel(2))
    refusal = node(feed, 2, 1)
    assert isinstance(refusal, Refusal)
    assert refusal.message == "node 'n2' knows feature level 1, the cluster is at 2: upgrade it"
    again = feed(c.StartNode("n1", "b2", facts(1)))
    assert isinstance(again, Refusal)


@pytest.mark.usefixtures("newer")
async def test_nothing_is_proposed_beyond_what_the_cluster_agreed_on() -> None:
    machine = Machine()

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        raise NotAccepted("it was proposed", ambiguous=False)

    proposer = ClusterProposer(machine, submit, session="s", leader_wait_s=0)
    committed = await proposer.propose(ROTATE)
    assert isinstance(committed.outcome, Refusal)
    assert committed.outcome.message == (
        "this needs feature level 2, the cluster is at 1 until all of its nodes are upgraded"
    )


def entry(number: int, command: Command, level: int) -> bytes:
    made = Entry(id=CommandId("s", number), time_s=1.0, command=command, level=level)
    (data,) = encode(made)
    return data


@pytest.mark.usefixtures("newer")
def test_what_was_proposed_beyond_it_after_all_is_refused_by_every_node_alike() -> None:
    machine = Machine()
    outcome = machine.apply(1, entry(1, ROTATE, 2))
    assert isinstance(outcome, Refusal)
    assert machine.fault is None
    assert machine.apply(2, entry(1, ROTATE, 2)) == outcome


def test_an_entry_of_a_newer_version_stops_the_state_machine_and_says_what_to_do() -> None:
    class Teleport(Command, frozen=True):
        """Of a version to come."""

        where: str

    machine = Machine()
    machine.apply(1, entry(1, Teleport("mars"), 7))
    assert machine.fault is not None
    assert f"needs feature level 7, and this version knows {features.LEVEL}: upgrade this node" in machine.fault
    assert machine.index == 0


def test_an_unknown_command_without_a_level_is_not_skipped_either() -> None:
    class Teleport(Command, frozen=True):
        """Of a version to come, by somebody who forgot to raise the level."""

        where: str

    machine = Machine()
    machine.apply(1, entry(1, Teleport("mars"), 1))
    assert machine.fault is not None
    assert "Teleport" in machine.fault


async def test_a_snapshot_of_a_newer_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = founded()
    node(feed, 1, 2)
    feed.accepted(c.RaiseFeatureLevel(2))
    data = feed.machine.freeze()()
    monkeypatch.setattr(features, "LEVEL", 1)
    with pytest.raises(ValueError, match="the snapshot needs feature level 2, and this version knows 1: upgrade"):
        Machine().restore(data)
    monkeypatch.undo()
    restored = Machine()
    restored.restore(data)
    assert restored.state.feature_level == 2


def test_entries_of_before_need_level_one() -> None:
    assert msgspec.msgpack.decode(entry(1, ROTATE, 1)[1:]).get("level") is None
