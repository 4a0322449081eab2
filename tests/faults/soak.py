"""The long form of the fault tests: see scripts/soak."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.faults.faults import PROCESS_FAULTS, Fault, fill_disk
from tests.faults.lab_cluster import LAB_FAULTS, LabCluster
from tests.faults.workload import Workload, check_cluster

SETTINGS = {"snapshot_after_entries": 500, "tail_entries_kept": 100, "segment_bytes": 32 * 1024}
PATIENCE_S = 120.0
"""For a leader after a fault: on a machine that others use, killed processes alone may take half a minute to start."""
FAULTS: tuple[Fault, ...] = (*PROCESS_FAULTS, *LAB_FAULTS, fill_disk)


async def soak(folder: Path, size: int, rounds: int, seed: int, only: str | None) -> Workload:
    rng = random.Random(seed)
    chosen = [fault for fault in FAULTS if only in (None, fault.__name__)]
    with LabCluster.up(folder, size, preset="local", settings=SETTINGS) as cluster:
        await cluster.start()
        workload = Workload(cluster, rng=rng)
        for number in range(rounds):
            if number % len(chosen) == 0:
                rng.shuffle(chosen)
            await _round(workload, number, chosen[number % len(chosen)], rng)
        return workload


async def _round(workload: Workload, number: int, fault: Fault, rng: random.Random) -> None:
    account, cluster = workload.account, workload.cluster
    before, reads, unknown, began_s = account.writes, account.reads, account.unknown, trio.current_time()
    async with workload.running(clients_per_node=2):
        await trio.sleep(0.5)
        await fault(cluster, rng)
        await cluster.leader(wait_s=PATIENCE_S)
        await trio.sleep(1)
    pause_s = account.longest_pause_s(began_s, trio.current_time())
    await check_cluster(workload)
    print(
        f"{time.strftime('%H:%M:%S')} {number + 1:3} of {len(cluster.names)} nodes: {fault.__name__:20}"
        f" {account.writes - before:5} writes {account.reads - reads:5} reads {account.unknown - unknown:3} unknown"
        f"  longest pause {pause_s:4.1f} s  load {os.getloadavg()[0]:.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=120, help="half of them with three nodes, half with five")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=[fault.__name__ for fault in FAULTS])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {options.seed}", flush=True)
    total = {"rounds": 0, "writes": 0, "reads": 0, "unknown": 0, "refusals": 0}
    for size in (3, 5):
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{size}-"))
        rounds = options.rounds // 2
        try:
            workload = trio.run(soak, folder, size, rounds, options.seed, options.only)
        except BaseException:
            print(f"failed with seed {options.seed}; the logs are in {folder}", file=sys.stderr)
            raise
        total["rounds"] += rounds
        for name in ("writes", "reads", "unknown", "refusals"):
            total[name] += getattr(workload.account, name)
        shutil.rmtree(folder)
    print(f"nothing lost, doubled or stale, one leader a term: {total}")


if __name__ == "__main__":
    main()
