"""Placements a second (issue 5, bar 1): 1,000,000 tasks of 100 apps on 5,000 nodes, with affinity, taints and spread.

``.venv/bin/python -P scripts/bench/scheduler.py [--growth] [--strategy S]``; one core, CPU seconds (-P: `consensus.py`
lies beside it). With ``--growth`` from 100 to 10,000 nodes.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter

from consensus.model.node import Node, NodeFacts, NodeStatus, Taint
from consensus.model.scheduling import SchedulerSettings
from consensus.model.workload import Toleration
from hivemind.orchestrator.scheduler.company import Company
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.place import place
from hivemind.orchestrator.scheduler.snapshot import PendingTask, Snapshot

GIB = 1 << 30
TASKS_PER_NODE = 200
APPS = 100
ZONES = "abcdefgh"


def make_nodes(count: int, rng: random.Random) -> tuple[Node, ...]:
    """Of three sizes, in eight zones; every twentieth is tainted, every fiftieth prefers to be left alone."""
    nodes = []
    for i in range(count):
        cores = rng.choice([32.0, 64.0, 128.0])
        taints = [Taint("dedicated", "", "NoSchedule")] if i % 20 == 0 else []
        taints += [Taint("old", "", "PreferNoSchedule")] if i % 50 == 1 else []
        facts = NodeFacts(
            address=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
            api_port=4483,
            peer_port=7946,
            cpu_cores=cores,
            memory_bytes=int(cores * 4 * GIB),
            architecture="x86_64",
        )
        labels = {"topology.zone": ZONES[i % len(ZONES)], "role": rng.choice(["front", "back"])}
        nodes.append(
            Node(
                id=f"node-{i:05}",
                facts=facts,
                status=NodeStatus.READY,
                status_since_s=0.0,
                joined_at_s=0.0,
                labels=labels,
                taints=taints,
            )
        )
    return tuple(nodes)


def make_tasks(count: int, rng: random.Random) -> list[PendingTask]:
    """Of APPS apps of different sizes and demands."""
    weights = [rng.uniform(0.2, 3.0) for _ in range(APPS)]
    demands = [
        Demand(
            cpu=rng.choice([0.05, 0.1, 0.2, 0.3]),
            memory_bytes=rng.choice([1, 2, 4, 6]) * GIB // 8,
            affinity=rng.choice(["", "", "", "role=front", "role!=front"]),
            company=rng.choice(["", "", "app=near, app!=far"]),
            spread=rng.choice(["", "", "topology.zone"]),
            tolerations=rng.choice([(), (), (Toleration("dedicated", "Exists"),)]),
        )
        for _ in range(APPS)
    ]
    sizes = [int(count * weight / sum(weights)) for weight in weights]
    sizes[0] += count - sum(sizes)
    return [
        PendingTask(f"app-{app}.{slot}", f"app-{app}", demands[app])
        for app in range(APPS)
        for slot in range(sizes[app])
    ]


def measure(nodes: int, strategy: str) -> None:
    rng = random.Random(1)
    there = make_nodes(nodes, rng)
    company = Company(
        met={node.id: 1.0 for node in there[::7]},
        violated={node.id: 1.0 for node in there[::11]},
        nearness={node.id: rng.random() for node in there},
    )
    snapshot = Snapshot(
        nodes=there,
        company={"app=near, app!=far": company},
        busy={node.id: rng.randrange(8) / 10 for node in there},
        settings=SchedulerSettings(strategy=strategy),  # type: ignore[arg-type]
    )
    tasks = make_tasks(nodes * TASKS_PER_NODE, rng)
    started_s = time.process_time()
    decisions = place(snapshot, tasks)
    took_s = time.process_time() - started_s
    placed = Counter(decision.node_id for decision in decisions)
    missing = placed.pop(None, 0)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{nodes:>6} nodes  {len(tasks):>9} tasks  {took_s:7.2f} s  {len(tasks) / took_s:>9,.0f}/s"
        f"  not placed {missing}  tasks a node {min(placed.values())} to {max(placed.values())}"
        f"  peak memory {peak_mib:,.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--strategy", default="WorstFit", choices=["WorstFit", "BestFit", "FirstFit", "Random"])
    settings = parser.parse_args()
    for nodes in (100, 1000, 5000, 10_000) if settings.growth else (5000,):
        measure(nodes, settings.strategy)


if __name__ == "__main__":
    main()
