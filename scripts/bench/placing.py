"""Placements from end to end (issue 5, bar 1): tasks placed, committed, and in the replicas of three real daemons.

    .venv/bin/python -m scripts.bench.placing [--tasks 10000] [--apps 20] [--profile FOLDER]

Three processes with an engine in memory (tests/support/light_daemon.py), on this machine; their agents start and report
what was placed meanwhile, as they would. The time is from the first deploy until the last of the three replicas has all
tasks, each with a node. Beside it the longest step of each daemon's loop.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.leaders import leader, wait_whole
from tests.support.metrics import worst_step
from tests.support.waiting import wait_until

PROGRAM = (sys.executable, "-m", "tests.support.light_daemon")
TIMEOUT_S = 120.0


def measure(tasks: int, apps: int, folder: Path) -> None:
    os.environ["PLACED_FILE"] = str(folder / "{node}.placed")
    os.environ["PLACED_TASKS"] = str(tasks)
    with Cluster(data_dir=folder, program=PROGRAM, executed=True) as cluster:
        wait_whole(cluster)
        chief = leader(cluster)
        entry = next(node.number for node in cluster.nodes if node is not chief)
        began_s = time.time()
        with cluster.client(entry, timeout_s=TIMEOUT_S) as client:
            for number in range(apps):
                body = {"name": f"app-{number}", "image": "none", "replicas": tasks // apps}
                answer = client.post("/api/deploy", json=body)
                assert answer.status_code == 201, answer.text
        deployed_s = time.time() - began_s
        files = [folder / f"{node.name}.placed" for node in cluster.nodes]
        wait_until(lambda: all(file.exists() for file in files), TIMEOUT_S, "all replicas have all tasks", poll_s=0.05)
        took_s = max(float(file.read_text()) for file in files) - began_s
        print(
            f"{tasks} tasks of {apps} apps: answered after {deployed_s:.2f} s, in all replicas after {took_s:.2f} s:"
            f" {tasks / took_s:,.0f}/s",
            flush=True,
        )
        for node in cluster.nodes:
            role = "leader" if node is chief else "follower"
            print(f"  {node.name} ({role}): longest step {worst_step(cluster, node.number)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--profile", type=Path, help="Where each daemon leaves its profile.")
    settings = parser.parse_args()
    if settings.profile is not None:
        os.environ["PROFILE_FILE"] = str(settings.profile / "{pid}.prof")
    with tempfile.TemporaryDirectory() as folder:
        measure(settings.tasks, settings.apps, Path(folder))


if __name__ == "__main__":
    main()
