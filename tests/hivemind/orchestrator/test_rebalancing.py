"""Rebalancing: one replica at a time is moved to where it would be placed today, and it comes to an end."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import commands as c
from consensus.apply import apply_command
from consensus.draft import Draft
from consensus.entry import CommandId
from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import section_of
from consensus.model.task import TaskState, TaskStatus
from consensus.model.volume import Volume
from consensus.model.workload import VolumeMount
from consensus.state import State
from hivemind.orchestrator import placement, rebalancing, replicas, rolling
from hivemind.orchestrator.scheduler.capacity import ReservedCache, Room
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from tests.consensus.making import Feed, facts, running, spec

LATER_S = 1e6
"""All nodes have been ready for long."""
IDLE = Surroundings()
"""Nothing is measured."""


def cluster(nodes: int, **of_facts: Any) -> Feed:
    feed = Feed()
    feed.add_nodes(nodes, **of_facts)
    return feed


def join(feed: Feed, number: int, **of_facts: Any) -> None:
    about = facts(number, **of_facts)
    feed.accepted(c.AddNode(f"n{number}", about), c.StartNode(f"n{number}", boot_id="b", facts=about))


def serve(feed: Feed, surroundings: Surroundings = IDLE) -> None:
    """What is to be done until nothing is left: placed, started, and removed where it is not wanted any more."""
    for _ in range(6):
        feed.accepted(*replicas.plan(feed.state, feed.state.apps), *rolling.plan(feed.state, feed.state.apps))
        feed.accepted(*placement.plan(feed.state, surroundings))
        for task in list(feed.state.tasks.values()):
            if task.node_id is not None and not task.wanted:
                feed.accepted(c.ReportTasks(task.node_id, [], [task.id]))
            elif task.node_id is not None and not task.serving:
                feed.report(running(), task.id)


def plan(feed: Feed, wall_s: float = LATER_S, surroundings: Surroundings = IDLE) -> list[c.MoveTask | c.CancelMove]:
    return rebalancing.plan(feed.state, feed.state.apps, surroundings, ReservedCache(), wall_s)


def rebalance(feed: Feed, surroundings: Surroundings = IDLE) -> int:
    """Moves until nothing is left to move; how many that were. Each makes the cluster more even."""
    uneven = unevenness(feed.state)
    for moves in range(500):
        found = plan(feed, surroundings=surroundings)
        if not found:
            return moves
        (move,) = found
        assert isinstance(move, c.MoveTask)
        assert placed_anew(feed.state, move.task_id, surroundings) == move.node_id
        before = sum(task.serving for task in feed.tasks(feed.state.tasks[move.task_id].app))
        feed.accepted(move)
        assert sum(task.serving for task in feed.tasks(feed.state.tasks[move.task_id].app)) == before
        assert plan(feed, 1000.0 + feed.machine.index) == []
        serve(feed, surroundings)
        assert move.task_id not in feed.state.tasks
        before_uneven, uneven = uneven, unevenness(feed.state)
        assert uneven < before_uneven
    raise AssertionError("it does not come to an end")


def unevenness(state: State) -> tuple[int, int, list[float]]:
    """How unevenly apps are spread over zones and over nodes, and how full the nodes are, the fullest first."""
    zones: Counter[tuple[str, str]] = Counter()
    nodes: Counter[tuple[str, str]] = Counter()
    for task in state.tasks.values():
        if task.node_id is None:
            continue
        nodes[task.app, task.node_id] += 1
        label = state.spec_of(task).spread
        zones[task.app, state.nodes[task.node_id].facts.labels.get(label, "") if label else ""] += 1
    of_settings, cache = section_of(state.settings, SchedulerSettings), ReservedCache()
    booked = [Room(node, cache.of(state, node.id), of_settings).booked for node in state.nodes.values()]
    squares = [sum(count * count for count in counts.values()) for counts in (zones, nodes)]
    return squares[0], squares[1], sorted(booked, reverse=True)


def placed_anew(state: State, task_id: str, surroundings: Surroundings) -> str | None:
    """Where placing would put this replica, if it came only now."""
    draft = Draft(state, index=0, time_s=LATER_S, command_id=CommandId("anew", 1))
    task = state.tasks[task_id]
    assert task.node_id is not None
    for command in (c.RemoveTasks([task_id]), c.ReportTasks(task.node_id, [], [task_id])):
        apply_command(draft, command)
    for missing in replicas.plan(draft.state, [task.app]):
        apply_command(draft, missing)
    (decided,) = placement.plan(draft.state, surroundings)
    assert isinstance(decided, c.PlaceTasks)
    (one,) = decided.placements
    return one.node_id


def measured(rng: random.Random, feed: Feed) -> Surroundings:
    return Surroundings(busy={name: rng.random() for name in feed.state.nodes})


def spread(feed: Feed, app: str = "web") -> list[int]:
    """How many replicas each node has."""
    return [sum(task.node_id == name for task in feed.tasks(app)) for name in sorted(feed.state.nodes)]


def test_a_node_that_joins_gets_its_share_and_no_more() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 9)))
    serve(feed)
    join(feed, 3)
    assert rebalance(feed) == 3
    assert spread(feed) == [3, 3, 3]


def test_the_replica_goes_only_when_its_replacement_serves() -> None:
    feed = cluster(1)
    feed.accepted(c.DeployApp(spec("web", 2)))
    serve(feed)
    join(feed, 2)
    (move,) = plan(feed)
    feed.accepted(move)
    assert rolling.plan(feed.state, feed.state.apps) == replicas.plan(feed.state, feed.state.apps) == []
    (successor,) = [task for task in feed.tasks() if task.node_id == "n2"]
    assert "2 replicas were on n1" in successor.placement_message
    feed.report(running(), successor.id)
    (end,) = rolling.plan(feed.state, feed.state.apps)
    assert end == c.RemoveTasks([move.task_id])
    feed.accepted(end)
    assert rolling.plan(feed.state, feed.state.apps) == replicas.plan(feed.state, feed.state.apps) == plan(feed) == []


def test_a_replacement_that_does_not_serve_is_given_up_and_not_tried_again_at_once() -> None:
    feed = cluster(1)
    feed.accepted(c.DeployApp(spec("web", 2)))
    serve(feed)
    join(feed, 2)
    (move,) = plan(feed)
    feed.accepted(move)
    began_s = feed.state.moves[move.task_id].began_at_s
    (successor,) = [task for task in feed.tasks() if task.node_id == "n2"]
    feed.report(TaskStatus(state=TaskState.FAILED, message="no such image"), successor.id)
    assert plan(feed, began_s + 60) == []
    assert plan(feed, began_s + 121) == [c.CancelMove(move.task_id)]
    feed.accepted(c.CancelMove(move.task_id))
    serve(feed)
    assert [task.id in (move.task_id, successor.id) for task in feed.tasks()].count(True) == 1
    assert spread(feed) == [2, 0]
    assert plan(feed, began_s + 300) == []
    assert plan(feed, began_s + 1000) != []


def test_zones_come_before_nodes() -> None:
    feed = cluster(3, zone="a")
    feed.accepted(c.DeployApp(spec("web", 4, spread="zone")))
    serve(feed)
    join(feed, 4, zone="b")
    assert rebalance(feed) == 2
    assert spread(feed)[3] == 2


def test_load_is_shared_beyond_the_threshold() -> None:
    """Apps of one replica are spread whatever one does; what differs is how much is booked."""
    feed = cluster(1)
    for name in "abcde":
        feed.accepted(c.DeployApp(spec(name, 1, cpu=1)))
    serve(feed)
    join(feed, 2)
    assert rebalance(feed) == 2
    assert sorted(len(list(feed.state.tasks_on_node(name))) for name in ("n1", "n2")) == [2, 3]


def test_nothing_goes_to_a_node_that_was_passed_over_because_it_is_busy() -> None:
    """Placing looks at what is measured, so what is booked may be uneven as soon as it is done."""
    feed = cluster(2)
    busy = Surroundings(busy={"n1": 0.9})
    for name in "abcd":
        feed.accepted(c.DeployApp(spec(name, 1, cpu=1)))
        serve(feed, busy)
    assert {task.node_id for task in feed.state.tasks.values()} == {"n2"}
    assert plan(feed, surroundings=busy) == []
    assert rebalance(feed, Surroundings(busy={"n1": 0.1})) == 2


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_was_just_placed_stays(seed: int) -> None:
    """Replicas of one size, on nodes of any size and as busy as it may be: a look after the last of them finds none
    that should be elsewhere."""
    rng = random.Random(seed)
    feed = Feed()
    for number in range(1, rng.randint(3, 6)):
        join(feed, number, cpu=rng.choice([2.0, 4.0, 8.0]))
    busy, cpu = measured(rng, feed), rng.choice([0, 0.2, 0.5])
    for number in range(rng.randint(1, 12)):
        feed.accepted(c.DeployApp(spec(f"app{number}", 1, cpu=cpu)))
    serve(feed, busy)
    assert plan(feed, surroundings=busy) == []


@pytest.mark.parametrize(
    "why",
    ["off", "app", "keep_lost", "volume", "affinity", "unhealthy", "unsettled", "taint", "strategy", "threshold"],
)
def test_nothing_is_moved_that_must_or_need_not(why: str) -> None:
    feed = cluster(1)
    more: dict[str, dict[str, Any]] = {
        "app": {"rebalance": False},
        "keep_lost": {"keep_lost": True},
        "volume": {"volumes": [VolumeMount("data", "/data")]},
        "affinity": {"node_affinity": "node.id=n1"},
    }
    feed.accepted(c.CreateVolume(Volume(name="data", created_at_s=1.0)))
    alone = why in ("strategy", "threshold")
    for name in "ab" if alone else ["web"]:
        feed.accepted(c.DeployApp(spec(name, 1 if alone else 3, cpu=0.5, **more.get(why, {}))))
    serve(feed)
    join(feed, 2)
    if why == "off":
        feed.accepted(c.SetSetting("scheduler.rebalance", False))
    elif why == "unhealthy":
        feed.report(TaskStatus(state=TaskState.FAILED), feed.tasks()[0].id)
    elif why == "taint":
        feed.accepted(c.LabelNode("n2", {}, [c.node.Taint("no")]))
    elif why == "strategy":
        feed.accepted(
            c.SetSetting("scheduler.rebalance_threshold", 0.01), c.SetSetting("scheduler.strategy", "BestFit")
        )
    assert plan(feed, feed.state.nodes["n2"].status_since_s + 29 if why == "unsettled" else LATER_S) == []


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_whatever_happened_it_comes_to_an_end_that_is_even(seed: int) -> None:
    """Apps are then spread as evenly as nodes allow, nodes differ by the threshold or what no single move betters, and
    a second look finds nothing."""
    rng = random.Random(seed)
    feed = Feed()
    for number in range(1, rng.randint(2, 4)):
        join(feed, number, cpu=rng.choice([4.0, 8.0]), zone=rng.choice("ab"))
    for number in range(rng.randint(1, 9)):
        wish = spec(
            f"app{number}",
            rng.choice([1, 1, rng.randint(2, 5)]),
            cpu=rng.choice([0, 0.1, 0.5, 1]),
            memory=rng.choice([0, "256M"]),
            spread=rng.choice([None, "zone"]),
            service_affinity=rng.choice([None, None, "app=app0", "app!=app0"]) if number else None,
        )
        feed.accepted(c.DeployApp(wish))
    serve(feed)
    for number in range(5, 5 + rng.randint(1, 3)):
        join(feed, number, cpu=rng.choice([4.0, 8.0]), zone=rng.choice("abc"))
    wanted = {name: app.spec.replicas for name, app in feed.state.apps.items()}
    surroundings = measured(rng, feed) if rng.random() < 0.5 else IDLE
    serve(feed, surroundings)
    rebalance(feed, surroundings)
    assert {name: sum(t.serving for t in feed.tasks(name)) for name in wanted} == wanted
    assert not feed.state.moves
    for name, app in feed.state.apps.items():
        if app.spec.spread is None and app.spec.resources.cpu < 0.5:
            assert max(spread(feed, name)) - min(spread(feed, name)) <= 1
    assert section_of(feed.state.settings, SchedulerSettings).rebalance
