"""Placement (design.md §8), compared with a scheduler that looks at every node for every task."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.commands import Placement
from consensus.model.node import Node, NodeStatus, Taint
from consensus.model.workload import Toleration
from hivemind.orchestrator.scheduler.affinity import affinity_labels, parse_affinity
from hivemind.orchestrator.scheduler.capacity import Overcommit, Reserved
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.place import place
from hivemind.orchestrator.scheduler.snapshot import PendingTask, Snapshot
from tests.consensus.making import facts

GIB = 1 << 30


def node(
    name: str, *, cpu: float = 4.0, memory_gib: float = 8.0, labels: dict[str, str] | None = None, **more: Any
) -> Node:
    about = {"status": NodeStatus.READY, "status_since_s": 0.0, "joined_at_s": 0.0, **more}
    return Node(id=name, facts=facts(1, cpu=cpu, memory_gib=memory_gib), labels=labels or {}, **about)


def naive(snapshot: Snapshot, tasks: list[PendingTask]) -> list[str | None]:
    """The rules, written down without a thought of speed."""
    cpu = {n.id: snapshot.reserved.get(n.id, Reserved()).cpu_millis for n in snapshot.nodes}
    memory = {n.id: snapshot.reserved.get(n.id, Reserved()).memory_bytes for n in snapshot.nodes}
    count = {n.id: snapshot.reserved.get(n.id, Reserved()).tasks for n in snapshot.nodes}
    spread = {app: dict(by_node) for app, by_node in snapshot.spread.items()}
    pinned = dict(snapshot.pinned)
    over = snapshot.overcommit
    by_id = {n.id: n for n in snapshot.nodes}

    def zones(node_id: str) -> str:
        return by_id[node_id].labels.get("zone", "")

    chosen: list[str | None] = []
    for task in tasks:
        demand, mine = task.demand, spread.setdefault(task.app, {})
        millis = round(demand.cpu * 1000)
        fitting = []
        for n in snapshot.nodes:
            cpu_max, memory_max = (
                int(n.facts.cpu_cores * over.cpu_ratio * 1000),
                int(n.facts.memory_bytes * over.memory_ratio),
            )
            if (
                n.schedulable
                and not any(
                    t.effect in ("NoSchedule", "NoExecute") and not any(o.tolerates(t) for o in demand.tolerations)
                    for t in n.taints
                )
                and all(term.holds(affinity_labels(n)) for term in parse_affinity(demand.affinity))
                and all(n.id in pinned.get(v, {n.id}) for v in demand.volumes)
                and (not millis or cpu[n.id] + millis <= cpu_max)
                and (not demand.memory_bytes or memory[n.id] + demand.memory_bytes <= memory_max)
            ):
                load = max(cpu[n.id] / cpu_max if cpu_max else 0.0, memory[n.id] / memory_max if memory_max else 0.0)
                shuns = any(
                    t.effect == "PreferNoSchedule" and not any(o.tolerates(t) for o in demand.tolerations)
                    for t in n.taints
                )
                zone = [c for i, c in mine.items() if demand.spread and zones(i) == zones(n.id)]
                wishes = snapshot.company.get(demand.company, {}).get(n.id, 0)
                fitting.append((shuns, sum(zone), mine.get(n.id, 0), wishes, load, count[n.id], n.id))
        if not fitting:
            chosen.append(None)
            continue
        best = min(fitting)[-1]
        chosen.append(best)
        cpu[best] += millis
        memory[best] += demand.memory_bytes
        count[best] += 1
        mine[best] = mine.get(best, 0) + 1
        pinned.update({v: frozenset((best,)) for v in demand.volumes})
    return chosen


nodes = st.builds(
    node,
    st.just("?"),
    cpu=st.sampled_from([0.0, 1.0, 4.0, 7.5]),
    memory_gib=st.sampled_from([0.0, 1.0, 4.0, 9.0]),
    labels=st.sampled_from([{}, {"zone": "a"}, {"zone": "b", "ssd": "yes"}]),
    status=st.sampled_from([NodeStatus.READY] * 6 + [NodeStatus.LOST, NodeStatus.RESTARTING, NodeStatus.LEFT]),
    maintenance=st.sampled_from([False] * 6 + [True]),
    draining=st.sampled_from([False] * 6 + [True]),
    taints=st.sampled_from(
        [[]] * 5 + [[Taint("a")], [Taint("a", "b", "PreferNoSchedule")], [Taint("c", "d", "NoExecute"), Taint("a")]]
    ),
)
demands = st.builds(
    Demand,
    cpu=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]),
    memory_bytes=st.sampled_from([0, GIB // 8, GIB, 4 * GIB]),
    affinity=st.sampled_from(["", "", "zone=a", "zone!=a", "zone in (a,b), ssd=yes"]),
    volumes=st.sampled_from([frozenset[str]()] * 4 + [frozenset(("v",)), frozenset(("v", "w"))]),
    company=st.sampled_from(["", "", "app=x"]),
    spread=st.sampled_from(["", "", "zone"]),
    tolerations=st.sampled_from([(), (), (Toleration("a", "Exists"),), (Toleration(operator="Exists"),)]),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Snapshot, list[PendingTask]]:
    drawn = draw(st.lists(nodes, max_size=7))
    named = [Node(**{**{f: getattr(n, f) for f in n.__struct_fields__}, "id": f"n{i}"}) for i, n in enumerate(drawn)]
    ids = [n.id for n in named]
    reserved = st.builds(Reserved, st.integers(0, 5000), st.integers(0, 8 * GIB), st.integers(0, 9))
    counts = st.dictionaries(st.sampled_from(ids), st.integers(1, 3)) if ids else st.just({})
    snapshot = Snapshot(
        nodes=tuple(named),
        reserved={i: draw(reserved) for i in ids},
        spread={app: draw(counts) for app in "ab"},
        pinned=draw(st.sampled_from([{}, {"v": frozenset(ids[:2])}])) if ids else {},
        company={"app=x": draw(counts)},
    )
    shapes = draw(st.lists(demands, min_size=1, max_size=3))
    # Apps with few tasks share a heap, those with many have their own: both are wanted.
    apps = draw(st.sampled_from(["a", "abc", "abcdefghijklmnopqrst"]))
    picks = draw(st.lists(st.tuples(st.sampled_from(apps), st.sampled_from(shapes)), max_size=40))
    return snapshot, [PendingTask(f"t{i}", app, demand) for i, (app, demand) in enumerate(picks)]


@given(problems())
@settings(max_examples=400, deadline=None)
def test_decides_as_a_look_at_every_node_for_every_task_does(problem: tuple[Snapshot, list[PendingTask]]) -> None:
    snapshot, tasks = problem
    decisions = place(snapshot, tasks)
    assert [d.task_id for d in decisions] == [t.task_id for t in tasks]
    assert [d.node_id for d in decisions] == naive(snapshot, tasks)
    assert all(bool(d.message) is (d.node_id is None) for d in decisions)
    assert place(snapshot, tasks) == decisions


@pytest.mark.parametrize("seed", range(20))
def test_large_batches_of_mixed_apps_are_placed_as_slowly_thought(seed: int) -> None:
    """Big enough that apps with heaps of their own load each other's nodes in between."""
    rng = random.Random(seed)
    there = tuple(node(f"n{i:02}", cpu=rng.choice([2.0, 4.0, 8.0]), memory_gib=8) for i in range(12))
    shapes = [Demand(cpu=rng.choice([0.1, 0.2, 0.5]), memory_bytes=rng.choice([0, GIB // 4])) for _ in range(3)]
    tasks = [PendingTask(f"t{i}", rng.choice("abbbccccccc"), rng.choice(shapes)) for i in range(300)]
    snapshot = Snapshot(nodes=there)
    assert [d.node_id for d in place(snapshot, tasks)] == naive(snapshot, tasks)


def tasks_of(count: int, demand: Demand | None = None, app: str = "web") -> list[PendingTask]:
    return [PendingTask(f"{app}{i}", app, demand or Demand()) for i in range(count)]


def message(snapshot_nodes: list[Node], demand: Demand, **more: Any) -> str:
    (decision,) = place(Snapshot(nodes=tuple(snapshot_nodes), **more), tasks_of(1, demand))
    assert decision.node_id is None
    return decision.message


def test_says_why_nothing_fits_the_most_frequent_reason_first() -> None:
    small = [node("n1", memory_gib=2), node("n2", memory_gib=1), node("n3", maintenance=True)]
    assert (
        message(small, Demand(memory_bytes=4 * GIB))
        == "no node fits: 2 nodes lack memory (need 4 GiB), 1 in maintenance"
    )


@pytest.mark.parametrize(
    ("nodes_there", "demand", "expected"),
    [
        ([], Demand(), "no node fits: there is none"),
        ([node("n1", status=NodeStatus.LEFT)], Demand(), "no node fits: there is none"),
        ([node("n1", status=NodeStatus.LOST)], Demand(), "no node fits: 1 node not ready"),
        ([node("n1", maintenance=True, draining=True)], Demand(), "no node fits: 1 node draining"),
        ([node("n1", taints=[Taint("gpu")])], Demand(), "no node fits: 1 node tainted"),
        ([node("n1")], Demand(affinity="zone=a"), "no node fits: 1 node not matching 'zone=a'"),
        ([node("n1"), node("n2")], Demand(cpu=8), "no node fits: 2 nodes lack cpu (need 8 cores)"),
        ([node("n1")], Demand(affinity="zone"), "no node fits: 1 node not matching: expected key=value"),
    ],
)
def test_each_filter_explains_itself(nodes_there: list[Node], demand: Demand, expected: str) -> None:
    assert message(nodes_there, demand).startswith(expected)


def test_a_local_volume_keeps_its_tasks_together() -> None:
    shared = Demand(volumes=frozenset(("data",)))
    decisions = place(Snapshot(nodes=(node("n1"), node("n2"))), tasks_of(3, shared))
    assert {d.node_id for d in decisions} == {"n1"}
    pinned = {"data": frozenset(("n2",))}
    assert place(Snapshot(nodes=(node("n1"), node("n2")), pinned=pinned), tasks_of(1, shared)) == [
        Placement("web0", "n2")
    ]
    away = message([node("n1"), node("n2", draining=True)], shared, pinned=pinned)
    assert away == "no node fits: 1 node draining, 1 without the data of volume data on n2"


def test_overcommit_is_the_limit() -> None:
    over = Overcommit(cpu_ratio=1.5, memory_ratio=1.2)
    decisions = place(Snapshot(nodes=(node("n1", cpu=2),), overcommit=over), tasks_of(4, Demand(cpu=1.0)))
    assert [d.node_id for d in decisions] == ["n1", "n1", "n1", None]
