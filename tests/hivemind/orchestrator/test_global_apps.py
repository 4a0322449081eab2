"""Global apps: one replica on each node that fits (issue 5). That the plan is idempotent: test_reconcilers.py."""

from __future__ import annotations

from typing import Any

from consensus import commands as c
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Change
from consensus.model.node import NodeStatus, Taint
from consensus.outcomes import Refusal, RefusalCode
from hivemind.orchestrator import global_apps, lost, placement, replicas, rolling, rollout
from hivemind.orchestrator.dry_run import dry_run
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from tests.consensus.making import Feed, facts, running, spec

SILENCE = Surroundings()


def agent(**more: Any) -> AppSpec:
    return spec("agent", mode="global", **more)


def settle(feed: Feed) -> None:
    """Plans, places, starts and stops until nothing is left to do."""
    for _ in range(60):
        state, wall_s = feed.state, 1000.0 + feed.machine.index + 10
        commands: list[c.AnyCommand] = [
            *lost.plan(state, wall_s),
            *global_apps.plan(state, state.apps),
            *rollout.plan(state, wall_s),
            *replicas.plan(state, state.apps),
        ]
        commands = commands or [*rolling.plan(state, state.apps)]
        commands += placement.plan(state, SILENCE)
        for task in state.tasks.values():
            node = None if task.node_id is None else state.nodes[task.node_id]
            if node is None or not node.holds_tasks:
                continue
            if not task.wanted:
                commands.append(c.ReportTasks(node.id, [], [task.id]))
            elif not task.serving:
                commands.append(c.ReportTasks(node.id, [c.TaskReport(task.id, running())]))
        if not commands:
            return
        feed(commands[0])
        for command in commands[1:]:
            feed(command)
    raise AssertionError("it does not settle")


def where(feed: Feed, app: str = "agent") -> list[str]:
    return sorted(str(task.node_id) for task in feed.tasks(app) if task.wanted)


def deployed(nodes: int = 3, **more: Any) -> Feed:
    feed = Feed()
    feed.add_nodes(nodes)
    feed.accepted(c.DeployApp(agent(**more)))
    settle(feed)
    return feed


def add_node(feed: Feed, number: int, **labels: str) -> str:
    name, about = f"n{number}", facts(number, **labels)
    feed.accepted(c.AddNode(name, about), c.StartNode(name, boot_id=f"{name}-1", facts=about))
    return name


def test_every_node_has_one_also_those_that_join_later() -> None:
    feed = deployed(3, cpu=0.1)
    assert where(feed) == ["n1", "n2", "n3"]
    assert feed.state.apps["agent"].spec.replicas == 3
    add_node(feed, 4)
    settle(feed)
    assert where(feed) == ["n1", "n2", "n3", "n4"]


def test_only_nodes_that_fit_and_a_replica_ends_with_the_fit() -> None:
    feed = Feed()
    for number in (1, 2):
        add_node(feed, number, role="edge")
    add_node(feed, 3)
    feed.accepted(c.DeployApp(agent(node_affinity="role=edge")))
    settle(feed)
    assert where(feed) == ["n1", "n2"]
    feed.accepted(c.LabelNode("n1", {"role": "core"}), c.LabelNode("n3", {"role": "edge"}))
    settle(feed)
    assert where(feed) == ["n2", "n3"]
    feed.accepted(c.LabelNode("n2", {}, [Taint("gpu", effect="NoExecute")]))
    settle(feed)
    assert where(feed) == ["n3"]


def test_a_new_taint_or_maintenance_lets_a_replica_stay_and_a_drain_does_not() -> None:
    feed = deployed(4)
    feed.accepted(c.LabelNode("n1", {}, [Taint("t")]), c.SetMaintenance("n2", enable=True))
    feed.accepted(c.SetMaintenance("n3", enable=True, drain=True))
    settle(feed)
    assert where(feed) == ["n1", "n2", "n4"]
    feed.accepted(c.SetMaintenance("n3", enable=False))
    settle(feed)
    assert where(feed) == ["n1", "n2", "n3", "n4"]


def test_a_lost_node_loses_its_replica_and_gets_a_new_one_when_it_is_back() -> None:
    feed = deployed(3)
    feed.accepted(c.SetNodeStatus("n2", expected=NodeStatus.READY, status=NodeStatus.LOST))
    settle(feed)
    assert where(feed) == ["n1", "n3"]
    feed.accepted(c.SetNodeStatus("n2", expected=NodeStatus.LOST, status=NodeStatus.READY))
    settle(feed)
    assert where(feed) == ["n1", "n2", "n3"]


def test_one_that_must_not_run_twice_waits_for_its_node() -> None:
    feed = deployed(2, keep_lost=True)
    before = {task.id for task in feed.tasks("agent")}
    feed.accepted(c.SetNodeStatus("n2", expected=NodeStatus.READY, status=NodeStatus.LOST))
    settle(feed)
    assert {task.id for task in feed.tasks("agent")} == before


def test_a_rollout_replaces_each_replica_where_it_is_also_in_maintenance() -> None:
    feed = deployed(4)
    feed.accepted(c.SetMaintenance("n4", enable=True))
    feed.accepted(c.CreateDeployment("agent", Change(image="new"), execute=True))
    settle(feed)
    app = feed.state.apps["agent"]
    assert (app.rollout, app.spec.image, app.spec.replicas) == ("", "new", 4)
    assert where(feed) == ["n1", "n2", "n3", "n4"]
    assert {task.revision for task in feed.tasks("agent")} == {app.revision}


def test_a_rollout_goes_on_while_a_node_joins_and_another_is_lost() -> None:
    feed = deployed(3)
    feed.accepted(c.CreateDeployment("agent", Change(image="new"), execute=True))
    add_node(feed, 4)
    feed.accepted(c.SetNodeStatus("n1", expected=NodeStatus.READY, status=NodeStatus.LOST))
    settle(feed)
    app = feed.state.apps["agent"]
    assert (app.rollout, app.spec.image, app.spec.replicas) == ("", "new", 3)
    assert where(feed) == ["n2", "n3", "n4"]


def test_a_pending_replica_says_what_its_node_lacks() -> None:
    feed = Feed()
    feed.add_nodes(1)
    add_node(feed, 2)
    feed.accepted(c.DeployApp(spec("big", cpu=5)), c.DeployApp(agent(cpu=3)))
    feed.accepted(*placement.plan(feed.state, SILENCE))
    feed.accepted(*global_apps.plan(feed.state, ["agent"]))
    feed.accepted(*placement.plan(feed.state, SILENCE))
    (waiting,) = [task for task in feed.tasks("agent") if task.node_id is None]
    assert waiting.placement_message == f"bound to {waiting.bound_to}: no node fits: 1 node lacks cpu (need 3 cores)"


def test_scaling_is_refused_and_so_is_another_mode() -> None:
    feed = deployed(2)
    refused = feed(c.ScaleApp("agent", 5))
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CONFLICT
    assert "global" in refused.message
    other = feed(c.CreateDeployment("agent", Change(spec=spec("agent", 2)), execute=True))
    assert isinstance(other, Refusal)
    assert "mode" in other.message
    assert isinstance(feed(c.CreateDeployment("agent", Change(replicas=9))), Refusal)
    assert isinstance(feed(c.PlaceGlobalApp("none", [])), Refusal)


def test_a_dry_run_tells_each_node() -> None:
    feed = Feed()
    feed.add_nodes(2)
    found = dry_run(feed.state, agent(), SILENCE, 5000.0)
    assert not isinstance(found, Refusal)
    assert sorted(str(one.placement.node_id) for one in found.replicas) == ["n1", "n2"]
