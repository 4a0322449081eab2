"""Placement (design.md §8), compared with a scheduler that looks at every node for every task."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.commands import Placement
from consensus.model.affinity import affinity_labels, parse_affinity
from consensus.model.node import Node, NodeStatus, Taint
from consensus.model.scheduling import SchedulerSettings
from consensus.model.workload import Toleration, intolerable
from hivemind.orchestrator.scheduler.capacity import Reserved
from hivemind.orchestrator.scheduler.company import ALONE, Company
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.place import explain_all, place
from hivemind.orchestrator.scheduler.score import draw
from hivemind.orchestrator.scheduler.snapshot import PendingTask, Snapshot
from tests.consensus.making import facts

GIB = 1 << 30


def node(
    name: str, *, cpu: float = 4.0, memory_gib: float = 8.0, labels: dict[str, str] | None = None, **more: Any
) -> Node:
    about = {"status": NodeStatus.READY, "status_since_s": 0.0, "joined_at_s": 0.0, **more}
    return Node(id=name, facts=facts(1, cpu=cpu, memory_gib=memory_gib), labels=labels or {}, **about)


class Reference:
    """The rules, written down without a thought of speed: every node is looked at for every task."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.settings = snapshot.settings
        nothing = Reserved()
        by_id = {n.id: snapshot.reserved.get(n.id, nothing) for n in snapshot.nodes}
        self.nodes = {n.id: n for n in snapshot.nodes}
        self.cpu = {i: found.cpu_millis for i, found in by_id.items()}
        self.nominal = {i: found.nominal_millis for i, found in by_id.items()}
        self.memory = {i: found.memory_bytes for i, found in by_id.items()}
        self.count = {i: found.tasks for i, found in by_id.items()}
        self.spread = {app: dict(by_node) for app, by_node in snapshot.spread.items()}
        self.pinned = dict(snapshot.pinned)

    def most(self, n: Node) -> tuple[int, int]:
        ratios = self.settings.cpu_overcommit_ratio, self.settings.memory_overcommit_ratio
        return int(n.facts.cpu_cores * ratios[0] * 1000), int(n.facts.memory_bytes * ratios[1])

    def fits(self, task: PendingTask, n: Node) -> bool:
        demand, (cpu_max, memory_max) = task.demand, self.most(n)
        millis = round(demand.cpu * 1000)
        return (
            n.schedulable
            and not intolerable(n.taints, demand.tolerations, ("NoSchedule", "NoExecute"))
            and all(term.holds(affinity_labels(n)) for term in parse_affinity(demand.affinity))
            and all(n.id in self.pinned.get(v, {n.id}) for v in demand.volumes)
            and demand.cpu_limit <= n.facts.cpu_cores
            and demand.memory_limit_bytes <= n.facts.memory_bytes
            and (not millis or self.cpu[n.id] + millis <= cpu_max)
            and (not demand.memory_bytes or self.memory[n.id] + demand.memory_bytes <= memory_max)
        )

    def score(self, task: PendingTask, n: Node) -> float:
        of, (cpu_max, memory_max) = self.settings, self.most(n)
        cpu = self.nominal[n.id] / cpu_max if cpu_max else 0.0
        booked = max(cpu, self.memory[n.id] / memory_max if memory_max else 0.0)
        busy = self.snapshot.busy.get(n.id, 0.0)
        strategy = {
            "WorstFit": 1 - booked,
            "BestFit": booked,
            "FirstFit": 1 - sorted(self.nodes).index(n.id) / len(self.nodes),
            "Random": draw(f"{of.random_seed}/{n.id}/{self.count[n.id]}"),
        }[of.strategy]
        company = self.snapshot.company.get(task.demand.company, ALONE)
        return (
            of.weight_load * (1 - (max(busy, booked) if of.strategy == "WorstFit" else busy))
            + of.weight_network * company.nearness.get(n.id, 0.0)
            + of.weight_affinity * company.met.get(n.id, 0.0)
            - of.weight_anti_affinity * company.violated.get(n.id, 0.0)
            + of.weight_strategy * strategy
        )

    def rank(self, task: PendingTask, n: Node) -> tuple[bool, int, int]:
        """What comes before the score."""
        mine, label = self.spread.get(task.spread_key, {}), task.demand.spread
        zone = [c for i, c in mine.items() if label and self.zone(self.nodes[i], label) == self.zone(n, label)]
        return intolerable(n.taints, task.demand.tolerations, ("PreferNoSchedule",)), sum(zone), mine.get(n.id, 0)

    @staticmethod
    def zone(n: Node, label: str) -> str:
        return n.labels.get(label, "")

    def follow(self, task: PendingTask, node_id: str | None) -> None:
        """Checks one decision against all nodes, and takes it over. Sums of floats differ in their last digits."""
        fitting = [n for n in self.nodes.values() if self.fits(task, n)]
        assert (node_id is None) is (not fitting), (task, fitting)
        if node_id is None:
            return
        chosen = self.nodes[node_id]
        assert chosen in fitting, task
        best = min(self.rank(task, n) for n in fitting)
        assert self.rank(task, chosen) == best
        equals = [n for n in fitting if self.rank(task, n) == best]
        top = max(self.score(task, n) for n in equals)
        assert self.score(task, chosen) >= top - 1e-9
        self.cpu[node_id] += round(task.demand.cpu * 1000)
        self.nominal[node_id] += round(task.demand.cpu * 1000) or 100
        self.memory[node_id] += task.demand.memory_bytes
        self.count[node_id] += 1
        mine = self.spread.setdefault(task.spread_key, {})
        mine[node_id] = mine.get(node_id, 0) + 1
        self.pinned.update({v: frozenset((node_id,)) for v in task.demand.volumes})


def check(snapshot: Snapshot, tasks: list[PendingTask]) -> list[Placement]:
    """Each decision is the best at its turn: as many are placed, as evenly, within the same bounds."""
    decisions, reference = place(snapshot, tasks), Reference(snapshot)
    assert [d.task_id for d in decisions] == [t.task_id for t in tasks]
    for task, decision in zip(tasks, decisions, strict=True):
        reference.follow(task, decision.node_id)
        assert bool(decision.message) is (decision.node_id is None)
    assert place(snapshot, tasks) == decisions
    explained = explain_all(snapshot, tasks)
    assert [one.placement for one in explained] == decisions
    assert all((one.score is None) is (one.placement.node_id is None) for one in explained)
    return decisions


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
    cpu_limit=st.sampled_from([0.0, 0.0, 2.0]),
    memory_limit_bytes=st.sampled_from([0, 0, 2 * GIB]),
)
weights = st.sampled_from([0.0, 0.1, 0.4, 1.0])
scheduler_settings = st.one_of(
    st.just(SchedulerSettings()),
    st.builds(
        SchedulerSettings,
        strategy=st.sampled_from(["WorstFit", "BestFit", "FirstFit", "Random"]),
        random_seed=st.integers(0, 3),
        weight_load=weights,
        weight_network=weights,
        weight_affinity=weights,
        weight_anti_affinity=weights,
        weight_strategy=weights,
        cpu_overcommit_ratio=st.sampled_from([1.0, 1.5]),
    ),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Snapshot, list[PendingTask]]:
    drawn = draw(st.lists(nodes, max_size=7))
    named = [Node(**{**{f: getattr(n, f) for f in n.__struct_fields__}, "id": f"n{i}"}) for i, n in enumerate(drawn)]
    ids = [n.id for n in named]
    reserved = st.builds(Reserved, *(st.integers(0, most) for most in (5000, 8 * GIB, 9, 5000)))
    counts = st.dictionaries(st.sampled_from(ids), st.integers(1, 3)) if ids else st.just({})
    shares = st.dictionaries(st.sampled_from(ids), st.sampled_from([0.25, 0.5, 1.0])) if ids else st.just({})
    companies = st.builds(Company, met=shares, violated=shares, nearness=shares)
    snapshot = Snapshot(
        nodes=tuple(named),
        reserved={i: draw(reserved) for i in ids},
        spread={app: draw(counts) for app in "ab"},
        pinned=draw(st.sampled_from([{}, {"v": frozenset(ids[:2])}])) if ids else {},
        company={"app=x": draw(companies) if ids else ALONE},
        busy=draw(st.dictionaries(st.sampled_from(ids), st.sampled_from([0.0, 0.3, 0.9]))) if ids else {},
        settings=draw(scheduler_settings),
    )
    shapes = draw(st.lists(demands, min_size=1, max_size=3))
    # Apps with few tasks share a heap, those with many have their own: both are wanted.
    apps = draw(st.sampled_from(["a", "abc", "abcdefghijklmnopqrst"]))
    picks = draw(st.lists(st.tuples(st.sampled_from(apps), st.sampled_from(shapes)), max_size=40))
    return snapshot, [PendingTask(f"t{i}", app, demand) for i, (app, demand) in enumerate(picks)]


@given(problems())
@settings(max_examples=150, deadline=None)
def test_decides_as_a_look_at_every_node_for_every_task_does(problem: tuple[Snapshot, list[PendingTask]]) -> None:
    check(*problem)


@pytest.mark.soak
@given(problems())
@settings(max_examples=2000, deadline=None)
def test_so_it_does_for_many_more_problems(problem: tuple[Snapshot, list[PendingTask]]) -> None:
    check(*problem)


@pytest.mark.parametrize("seed", range(20))
def test_large_batches_of_mixed_apps_are_placed_as_slowly_thought(seed: int) -> None:
    """Big enough that apps with heaps of their own load each other's nodes in between."""
    rng = random.Random(seed)
    there = tuple(node(f"n{i:02}", cpu=rng.choice([2.0, 4.0, 8.0]), memory_gib=8) for i in range(12))
    shapes = [Demand(cpu=rng.choice([0.1, 0.2, 0.5]), memory_bytes=rng.choice([0, GIB // 4])) for _ in range(3)]
    tasks = [PendingTask(f"t{i}", rng.choice("abbbccccccc"), rng.choice(shapes)) for i in range(300)]
    strategy = rng.choice(["WorstFit", "BestFit", "FirstFit", "Random"])
    check(Snapshot(nodes=there, settings=SchedulerSettings(strategy=strategy)), tasks)  # type: ignore[arg-type]


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
    over = SchedulerSettings(cpu_overcommit_ratio=1.5)
    decisions = place(Snapshot(nodes=(node("n1", cpu=2),), settings=over), tasks_of(4, Demand(cpu=1.0)))
    assert [d.node_id for d in decisions] == ["n1", "n1", "n1", None]


def one_each(strategy: str, count: int = 6) -> list[str | None]:
    """Where apps of one replica go, one after the other, on three nodes that are alike."""
    tasks = [PendingTask(f"t{i}", f"app{i}", Demand(cpu=0.5)) for i in range(count)]
    there = tuple(node(f"n{i}", cpu=2) for i in range(3))
    chosen = SchedulerSettings(strategy=strategy, random_seed=1)  # type: ignore[arg-type]
    return [d.node_id for d in place(Snapshot(nodes=there, settings=chosen), tasks)]


def test_strategies_fill_nodes_their_own_way() -> None:
    assert one_each("WorstFit") == ["n0", "n1", "n2", "n0", "n1", "n2"]
    assert one_each("BestFit", 7) == ["n0"] * 6 + ["n1"]
    assert one_each("FirstFit", 7) == ["n0"] * 6 + ["n1"]
    drawn = one_each("Random", 18)
    assert drawn == one_each("Random", 18)
    assert drawn != one_each("WorstFit", 18)
    assert set(drawn) == {"n0", "n1", "n2"}


def test_best_fit_packs_beside_what_is_there() -> None:
    reserved = {"n1": Reserved(1000, 0, 1, 1000)}
    there = tuple(node(f"n{i}", cpu=2) for i in range(3))
    snapshot = Snapshot(nodes=there, reserved=reserved, settings=SchedulerSettings(strategy="BestFit"))
    assert [d.node_id for d in place(snapshot, [PendingTask("t", "a", Demand(cpu=0.5))])] == ["n1"]


def test_a_busy_node_comes_after_an_idle_one_and_company_draws() -> None:
    there = (node("n1"), node("n2"), node("n3"))
    (first,) = place(Snapshot(nodes=there, busy={"n1": 0.9, "n2": 0.5}), tasks_of(1))
    assert first.node_id == "n3"
    near = Company(met={"n1": 1.0}, nearness={"n1": 1.0, "n2": 0.9})
    (drawn,) = explain_all(
        Snapshot(nodes=there, busy={"n1": 0.5}, company={"app=x": near}), tasks_of(1, Demand(company="app=x"))
    )
    assert drawn.placement.node_id == "n1"
    assert drawn.score is not None
    assert drawn.score.total == pytest.approx(0.4 * 0.5 + 0.3 + 0.2 + 0.1)
    away = Company(violated={"n1": 1.0, "n3": 1.0})
    (apart,) = place(Snapshot(nodes=there, company={"app!=x": away}), tasks_of(1, Demand(company="app!=x")))
    assert apart.node_id == "n2"


def test_a_limit_is_not_more_than_the_node() -> None:
    small = [node("n1", cpu=2), node("n2", cpu=4)]
    assert [d.node_id for d in place(Snapshot(nodes=tuple(small)), tasks_of(1, Demand(cpu_limit=3)))] == ["n2"]
    told = message(small, Demand(cpu_limit=8, memory_limit_bytes=GIB))
    assert told == "no node fits: 2 nodes smaller than the limit of 8 cores and 1 GiB"


def test_a_second_replica_shares_a_node_before_one_that_would_rather_be_left_alone_is_taken() -> None:
    """Apps of few tasks asked only for nodes that they have not, and so went on to the shunned ones."""
    shunned = node("n4", taints=[Taint("a", "b", "PreferNoSchedule")])
    snapshot = Snapshot(nodes=(*(node(name, cpu=0.0) for name in ("n1", "n2")), node("n3"), shunned))
    decisions = check(snapshot, [PendingTask(f"t{i}", "a", Demand(cpu_limit=1.0)) for i in range(2)])
    assert [decision.node_id for decision in decisions] == ["n3", "n3"]
