"""Reconcilers: each step by hand, and on any state planning twice gives nothing the second time (issue 5, bar 6)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.alert import Alert, Severity
from consensus.model.node import NodeStatus, Taint
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.model.workload import Toleration, VolumeMount
from consensus.outcomes import Refusal
from consensus.state import State
from hivemind.orchestrator import (
    alerts,
    conditions,
    global_apps,
    jobs,
    lost,
    placement,
    replicas,
    rolling,
    rollout,
    runs,
)
from hivemind.orchestrator.backups import BackupWatch
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.dry_run import dry_run
from hivemind.orchestrator.members import MemberState, MemberView
from hivemind.orchestrator.observer import Evidence
from hivemind.orchestrator.scheduler.capacity import ReservedCache
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from tests.consensus.making import Feed, running, spec
from tests.consensus.random_commands import random_command

CONFIG = OrchestratorConfig()
SILENCE = Surroundings()
MASS_LOSS = Alert(id=alerts.MASS_LOSS, severity=Severity.CRITICAL, resource="cluster", message="m", created_at_s=1000.0)


def cluster(nodes: int = 3) -> Feed:
    feed = Feed()
    feed.add_nodes(nodes)
    return feed


def place_all(feed: Feed) -> None:
    feed.accepted(*placement.plan(feed.state, SILENCE))


def serve_all(feed: Feed) -> None:
    """Every placed task runs and is healthy, and what is to go is gone."""
    place_all(feed)
    for task in list(feed.state.tasks.values()):
        if task.node_id is not None and not task.wanted:
            feed.accepted(c.ReportTasks(task.node_id, [], [task.id]))
        elif task.node_id is not None:
            feed.report(running(), task.id)


def spread(feed: Feed, app: str = "web") -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for task in feed.tasks(app):
        counts[task.node_id] = counts.get(task.node_id, 0) + 1
    return counts


PLANS: dict[str, Callable[[State], Sequence[c.AnyCommand]]] = {
    "lost": lambda state: lost.plan(state, 2000.0),
    "conditions": lambda state: conditions.plan(state, state.apps, 2000.0),
    "replicas": lambda state: replicas.plan(state, state.apps),
    "rolling": lambda state: rolling.plan(state, state.apps),
    "global apps": lambda state: global_apps.plan(state, state.apps),
    "jobs": lambda state: jobs.plan(state, state.workloads, wall_s=1100.0),
    "runs": lambda state: runs.plan(state, state.workloads, wall_s=1100.0),
    "backups": lambda state: BackupWatch().plan(state, wall_s=1100.0),
    "placement": lambda state: placement.plan(state, SILENCE),
    "alerts": lambda state: alerts.plan(state, {}, CONFIG, wall_s=1100.0),
}


@given(st.integers(0, 2**32), st.integers(5, 150))
@settings(max_examples=80, deadline=None)
def test_a_deployments_decision_is_made_once(seed: int, steps: int) -> None:
    """A decision leads to the next one where nothing has to be waited for (an app of no replicas), but to no endless
    row of them, and never to the same again."""
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        feed(random_command(rng, feed.state))
    made: list[c.AnyCommand] = []
    for _ in range(40):
        commands = rollout.plan(feed.state, 1000.0 + feed.machine.index)
        assert rollout.plan(feed.state, 1000.0 + feed.machine.index) == commands
        assert not [command for command in commands if command in made]
        if not commands:
            break
        made += commands
        feed.accepted(*commands)
    assert rollout.plan(feed.state, 1000.0 + feed.machine.index) == []


@pytest.mark.parametrize("name", PLANS)
@given(st.integers(0, 2**32), st.integers(5, 120))
@settings(max_examples=80, deadline=None)
def test_planning_twice_gives_nothing_the_second_time(name: str, seed: int, steps: int) -> None:
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        feed(random_command(rng, feed.state))
    before = feed.state
    commands = PLANS[name](before)
    assert PLANS[name](before) == commands
    feed.accepted(*commands)
    if name == "jobs":
        # A run whose place another took is over only then, and may be one too many to remember.
        feed.accepted(*PLANS[name](feed.state))
    assert PLANS[name](feed.state) == []


@given(st.integers(0, 2**32), st.integers(5, 120))
@settings(max_examples=80, deadline=None)
def test_all_together_come_to_rest(seed: int, steps: int) -> None:
    """With agents that do as they are told, every app ends with its replicas, placed where they may be."""
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        feed(random_command(rng, feed.state))
    if alerts.MASS_LOSS in feed.state.alerts:
        feed.accepted(c.ResolveAlert(alerts.MASS_LOSS))
    for _ in range(300):
        commands: list[c.AnyCommand] = [*rollout.plan(feed.state, 5000.0 + feed.machine.index)]
        commands += [cmd for name in ("lost", "replicas", "rolling") for cmd in PLANS[name](feed.state)]
        before = feed.state
        for command in commands:
            feed(command)
        serve_running(feed)
        if not commands and feed.state.tasks == before.tasks:
            break
    else:
        raise AssertionError("it never came to rest")
    for app in feed.state.apps.values():
        wanted = [task for task in feed.tasks(app.name) if task.wanted]
        slots = {task.slot for task in wanted}
        assert len(slots) == app.spec.replicas
        for task in wanted:
            holder = None if task.node_id is None else feed.state.nodes[task.node_id]
            assert holder is None or holder.holds_tasks
            assert holder is not None or task.placement_message


def serve_running(feed: Feed) -> None:
    """As serve_all; a node that restarts or joins reports nothing, and a task keeps its run."""
    place_all(feed)
    for task in list(feed.state.tasks.values()):
        if task.node_id is None or not feed.state.nodes[task.node_id].holds_tasks:
            continue
        if not task.wanted:
            feed.accepted(c.ReportTasks(task.node_id, [], [task.id]))
        elif not task.serving:
            feed.report(running(restart_count=task.status.restart_count + 1), task.id)


class TestPlacement:
    def test_a_deploy_is_one_command_and_spread(self) -> None:
        feed = cluster(3)
        feed.accepted(c.DeployApp(spec("web", 30)))
        (command,) = placement.plan(feed.state, SILENCE)
        assert isinstance(command, c.PlaceTasks)
        feed.accepted(command)
        assert spread(feed) == {"n1": 10, "n2": 10, "n3": 10}

    def test_a_large_one_is_cut_so_that_no_apply_holds_the_loop(self) -> None:
        feed = cluster(3)
        feed.accepted(c.DeployApp(spec("web", 1200)))
        feed.accepted(*replicas.plan(feed.state, {"web"}))
        assert [len(cmd.placements) for cmd in placement.plan(feed.state, SILENCE)] == [200] * 6

    def test_a_message_is_written_only_when_it_changes(self) -> None:
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("web", 2, memory="100G")))
        place_all(feed)
        assert {t.placement_message for t in feed.tasks()} == {"no node fits: 2 nodes lack memory (need 100 GiB)"}
        assert placement.plan(feed.state, SILENCE) == []
        feed.accepted(c.SetMaintenance("n1", enable=True))
        place_all(feed)
        expected = "no node fits: 1 node in maintenance, 1 lacks memory (need 100 GiB)"
        assert {t.placement_message for t in feed.tasks()} == {expected}

    def test_capacity_counts_what_is_still_being_removed(self) -> None:
        feed = cluster(1)
        feed.accepted(c.DeployApp(spec("old", 1, cpu=5)))
        serve_all(feed)
        feed.accepted(c.DeleteApp("old"), c.DeployApp(spec("new", 1, cpu=5)))
        place_all(feed)
        (task,) = feed.tasks("new")
        assert task.node_id is None
        feed.accepted(c.ReportTasks("n1", [], [t.id for t in feed.tasks("old")]))
        place_all(feed)
        assert feed.state.tasks[task.id].node_id == "n1"

    def test_a_volume_is_where_its_tasks_are(self) -> None:
        feed = cluster(3)
        feed.accepted(c.DeployApp(spec("filler", 1, cpu=1)))
        place_all(feed)
        feed.accepted(c.DeployApp(spec("db", 1, volumes=[VolumeMount("data", "/data")])))
        place_all(feed)
        (home,) = spread(feed, "db")
        feed.accepted(c.DeployApp(spec("backup", 2, volumes=[VolumeMount("data", "/data")])))
        place_all(feed)
        assert spread(feed, "backup") == {home: 2}

    def test_the_cache_counts_as_a_fresh_look_does(self) -> None:
        rng, feed, cache = random.Random(7), Feed(), ReservedCache()
        for _ in range(300):
            feed(random_command(rng, feed.state))
            for node_id in feed.state.nodes:
                assert cache.of(feed.state, node_id) == ReservedCache().of(feed.state, node_id)
            cache.keep_only(feed.state)


class TestPreemption:
    def full(self) -> Feed:
        """Two nodes of 6 cores (overcommitted), with 5 low and 1 medium core on each."""
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("low", 10, cpu=1, priority_class="low-priority")))
        feed.accepted(c.DeployApp(spec("mid", 2, cpu=1)))
        serve_all(feed)
        return feed

    def run(self, feed: Feed) -> None:
        for _ in range(8):
            feed.accepted(*replicas.plan(feed.state, feed.state.apps))
            serve_all(feed)

    def test_the_fewest_and_least_important_go_and_are_queued_again(self) -> None:
        feed = self.full()
        feed.accepted(c.DeployApp(spec("high", 1, cpu=2, priority_class="high-priority")))
        gone = [
            i for cmd in placement.plan(feed.state, SILENCE) if isinstance(cmd, c.RemoveTasks) for i in cmd.task_ids
        ]
        assert [feed.state.tasks[i].app for i in gone] == ["low", "low"]
        self.run(feed)
        assert [task.serving for task in feed.tasks("high")] == [True]
        low = feed.tasks("low")
        assert (len(low), sum(task.serving for task in low)) == (10, 8)
        assert {task.placement_message for task in low if not task.serving} == {
            "no node fits: 2 nodes lack cpu (need 1 cores)"
        }

    def test_nobody_goes_for_an_equal_or_in_vain(self) -> None:
        feed = self.full()
        feed.accepted(c.DeployApp(spec("more", 1, cpu=1, priority_class="low-priority")))
        feed.accepted(c.DeployApp(spec("huge", 1, cpu=7, priority_class="high-priority")))
        assert not [cmd for cmd in placement.plan(feed.state, SILENCE) if isinstance(cmd, c.RemoveTasks)]

    def test_the_important_are_placed_first(self) -> None:
        feed = cluster(1)
        feed.accepted(c.DeployApp(spec("low", 6, cpu=1, priority_class="low-priority")))
        feed.accepted(c.DeployApp(spec("high", 6, cpu=1, priority_class="high-priority")))
        serve_all(feed)
        assert sum(task.serving for task in feed.tasks("high")) == 6

    def test_a_dry_run_tells_and_changes_nothing(self) -> None:
        feed = self.full()
        before = feed.state
        high = spec("high", 4, cpu=2, priority_class="high-priority", node_affinity="node.id=n1")
        found = dry_run(before, high, SILENCE, 1.0)
        assert not isinstance(found, Refusal)
        assert [one.placement.node_id for one in found.replicas] == [None] * 4
        assert len(found.preempted) == 6
        assert feed.state is before
        assert isinstance(dry_run(before, spec("low"), SILENCE, 1.0), Refusal)


class TestReplicas:
    def test_missing_slots_are_filled_and_surplus_goes(self) -> None:
        feed = cluster()
        feed.accepted(c.DeployApp(spec("web", 3)))
        serve_all(feed)
        feed.accepted(c.RemoveTasks([feed.tasks()[1].id]))
        (command,) = replicas.plan(feed.state, ["web"])
        assert command == c.CreateTasks("web", [2])
        feed.accepted(command, c.CreateTasks("web", [7, 8]))
        (command,) = replicas.plan(feed.state, ["web"])
        assert isinstance(command, c.RemoveTasks)
        # Neither serves yet: slot 8 is the highest; then slot 7 or the new slot 2: the highest again.
        assert [feed.state.tasks[i].slot for i in command.task_ids] == [8, 7]

    def test_a_scale_while_one_is_replaced_counts_slots(self) -> None:
        feed = cluster()
        feed.accepted(c.DeployApp(spec("web", 3)))
        serve_all(feed)
        feed.accepted(c.RestartApp("web"), *rolling.plan(feed.state, ["web"]))
        feed.accepted(*rolling.plan(feed.state, ["web"]))
        assert len(feed.tasks()) == 4
        feed.accepted(c.ScaleApp("web", 4))
        assert sorted(task.slot for task in feed.tasks()) == [1, 1, 2, 3, 4]
        assert replicas.plan(feed.state, ["web"]) == []

    def test_doubles_of_a_slot_go_and_the_best_stays(self) -> None:
        feed = cluster()
        feed.accepted(c.DeployApp(spec("web", 1)))
        serve_all(feed)
        (first,) = feed.tasks()
        for _ in range(2):
            feed.accepted(c.RestartApp("web"), c.CreateTasks("web", [1]))
        (command,) = replicas.plan(feed.state, ["web"])
        assert isinstance(command, c.RemoveTasks)
        assert first.id not in command.task_ids
        feed.accepted(command)
        assert sorted(task.generation for task in feed.tasks()) == [1, 3]


class TestLost:
    def test_each_slot_of_a_lost_node_gets_a_new_task(self) -> None:
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("web", 4)))
        serve_all(feed)
        assert lost.plan(feed.state, 2000.0) == []
        feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.RESTARTING))
        assert lost.plan(feed.state, 2000.0) == []
        feed.accepted(c.SetNodeStatus("n2", NodeStatus.RESTARTING, NodeStatus.LOST))
        feed.accepted(*lost.plan(feed.state, 2000.0))
        place_all(feed)
        assert spread(feed) == {"n1": 4}
        assert sorted(task.slot for task in feed.tasks()) == [1, 2, 3, 4]

    def test_what_must_not_run_twice_stays_until_its_node_is_removed(self) -> None:
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("db", 2, keep_lost=True)))
        serve_all(feed)
        feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.LOST))
        assert lost.plan(feed.state, 2000.0) == []
        assert replicas.plan(feed.state, ["db"]) == rolling.plan(feed.state, ["db"]) == []
        assert [feed.state.takes_traffic(task) for task in feed.tasks("db")].count(True) == 1
        feed.accepted(c.RemoveNode("n2", force=True))
        place_all(feed)
        assert spread(feed, "db") == {"n1": 2}

    def test_nothing_is_moved_while_a_mass_loss_stands(self) -> None:
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("web", 4)))
        serve_all(feed)
        feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.LOST), c.RaiseAlert(MASS_LOSS))
        assert lost.plan(feed.state, 2000.0) == []
        feed.accepted(c.ResolveAlert(alerts.MASS_LOSS))
        assert lost.plan(feed.state, 2000.0) != []


class TestRolling:
    def restarted(self, count: int = 3, nodes: int = 3) -> Feed:
        feed = cluster(nodes)
        feed.accepted(c.DeployApp(spec("web", count)))
        serve_all(feed)
        feed.accepted(c.RestartApp("web"))
        return feed

    def step(self, feed: Feed) -> list[c.AnyCommand]:
        commands: list[c.AnyCommand] = list(rolling.plan(feed.state, ["web"]))
        feed.accepted(*commands)
        return commands

    def test_one_at_a_time_start_first_and_the_spread_stays(self) -> None:
        feed = self.restarted(6)
        assert self.step(feed) == [c.CreateTasks("web", [1])]
        assert self.step(feed) == []
        place_all(feed)
        assert self.step(feed) == []
        for slot in range(2, 7):
            serve_all(feed)
            removed, created = self.step(feed)
            assert isinstance(removed, c.RemoveTasks)
            assert created == c.CreateTasks("web", [slot])
            assert sum(task.serving for task in feed.tasks()) == 6
        serve_all(feed)
        self.step(feed)
        serve_all(feed)
        assert self.step(feed) == []
        assert {task.generation for task in feed.tasks()} == {2}
        assert spread(feed) == {"n1": 2, "n2": 2, "n3": 2}

    def test_a_replacement_that_does_not_fit_costs_no_healthy_one(self) -> None:
        feed = cluster(1)
        feed.accepted(c.DeployApp(spec("web", 2, cpu=3)))
        serve_all(feed)
        feed.accepted(c.RestartApp("web"))
        self.step(feed)
        serve_all(feed)
        assert self.step(feed) == []
        assert sum(task.serving for task in feed.tasks()) == 2
        (pending,) = [task for task in feed.tasks() if task.node_id is None]
        assert pending.placement_message == "no node fits: 1 node lacks cpu (need 3 cores)"

    def test_what_does_not_run_goes_first(self) -> None:
        feed = self.restarted(2)
        broken = feed.tasks()[0]
        feed.report(TaskStatus(state=TaskState.FAILED, engine_id="e"), broken.id)
        first, second = self.step(feed)
        assert first == c.RemoveTasks([broken.id])
        assert second == c.CreateTasks("web", [2])
        assert replicas.plan(feed.state, ["web"]) == [c.CreateTasks("web", [1])]

    def test_a_bad_restart_stops_at_its_first_replica(self) -> None:
        feed = self.restarted(3)
        self.step(feed)
        serve_all(feed)
        self.step(feed)
        serve_all(feed)
        (first,) = [task for task in feed.tasks() if task.slot == 1]
        (second,) = [task for task in feed.tasks() if task.slot == 2 and task.generation == 1]
        feed.report(running(health=Health.UNHEALTHY), first.id)
        assert self.step(feed) == [c.RemoveTasks([second.id])]
        assert self.step(feed) == []
        feed.report(running(), first.id)
        assert self.step(feed) == [c.CreateTasks("web", [3])]

    def test_a_drain_moves_one_replica_of_each_app_at_a_time(self) -> None:
        feed = cluster(2)
        feed.accepted(c.DeployApp(spec("web", 4)), c.DeployApp(spec("api", 2)))
        serve_all(feed)
        feed.accepted(c.SetMaintenance("n2", enable=True, drain=True))
        commands = rolling.plan(feed.state, feed.state.apps)
        assert [cmd.app for cmd in commands if isinstance(cmd, c.CreateTasks)] == ["api", "web"]
        for _ in range(6):
            feed.accepted(*rolling.plan(feed.state, feed.state.apps))
            serve_all(feed)
        assert not list(feed.state.tasks_on_node("n2"))
        assert rolling.plan(feed.state, feed.state.apps) == []

    def test_a_noexecute_taint_moves_what_does_not_tolerate_it(self) -> None:
        feed = cluster(2)
        tough = [Toleration("maintenance", "Exists")]
        feed.accepted(c.DeployApp(spec("web", 2)), c.DeployApp(spec("agent", 2, tolerations=tough)))
        serve_all(feed)
        feed.accepted(c.LabelNode("n2", {}, [Taint("maintenance", "", "NoExecute")]))
        for _ in range(4):
            feed.accepted(*rolling.plan(feed.state, feed.state.apps))
            serve_all(feed)
        assert spread(feed) == {"n1": 2}
        assert spread(feed, "agent") == {"n1": 1, "n2": 1}
        assert rolling.plan(feed.state, feed.state.apps) == []

    def test_a_second_restart_in_the_middle_of_the_first(self) -> None:
        feed = self.restarted(3)
        self.step(feed)
        serve_all(feed)
        self.step(feed)
        feed.accepted(c.RestartApp("web"))
        for _ in range(12):
            feed.accepted(*replicas.plan(feed.state, ["web"]))
            self.step(feed)
            assert sum(task.serving for task in feed.tasks()) >= 3
            serve_all(feed)
        assert [(task.slot, task.generation) for task in feed.tasks()] == [(1, 3), (2, 3), (3, 3)]


class TestAlerts:
    def lose(self, feed: Feed, *names: str) -> None:
        for name in names:
            feed.accepted(c.SetNodeStatus(name, NodeStatus.READY, NodeStatus.LOST))

    def plan(self, feed: Feed, after_s: float = 0.0, evidence: dict[str, Evidence] | None = None) -> list[c.AnyCommand]:
        return [*alerts.plan(feed.state, evidence or {}, CONFIG, 1000.0 + feed.machine.index + after_s)]

    def test_more_than_a_third_at_once(self) -> None:
        feed = cluster(6)
        self.lose(feed, "n1", "n2")
        assert self.plan(feed) == []
        self.lose(feed, "n3")
        (command,) = self.plan(feed)
        assert isinstance(command, c.RaiseAlert)
        assert command.alert.severity is Severity.CRITICAL
        assert "3 of 6 nodes" in command.alert.message

    def test_one_node_alone_and_losses_of_long_ago_are_no_mass(self) -> None:
        feed = cluster(2)
        self.lose(feed, "n2")
        assert self.plan(feed) == []
        feed = cluster(4)
        self.lose(feed, "n1", "n2")
        assert self.plan(feed, after_s=60.0) == []

    def test_those_that_fall_silent_count_before_they_are_lost(self) -> None:
        feed = cluster(4)
        self.lose(feed, "n1")
        doubt = Evidence(view=MemberView("n2", MemberState.SUSPECT), silent_s=1.2)
        assert self.plan(feed, evidence={"n2": doubt}) != []

    def test_resolved_when_a_majority_is_stable(self) -> None:
        feed = cluster(6)
        self.lose(feed, "n1", "n2", "n3")
        feed.accepted(*self.plan(feed))
        assert self.plan(feed, after_s=5.0) == []
        assert self.plan(feed, after_s=100.0) == [], "three of six are no majority"
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.LOST, NodeStatus.READY))
        assert self.plan(feed, after_s=5.0) == []
        assert self.plan(feed, after_s=100.0) == [c.ResolveAlert(alerts.MASS_LOSS)]
