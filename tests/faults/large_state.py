"""A large state: what a snapshot of it costs, and how long a node that was away needs.

python -m tests.faults.large_state [--megabytes 100] [--away 100000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import trio

from tests.faults.log_client import Refused, Unknown
from tests.faults.log_cluster import LogCluster


async def fill(cluster: LogCluster, leader: str, megabytes: int) -> None:
    """Apps of 4 KB and a task each."""
    numbers = iter(range(megabytes * 250))

    async def deploy() -> None:
        async with cluster.client(leader, timeout_s=60) as client:
            for number in numbers:
                await client("deploy", f"app{number}", 1, 4000 - 700)

    async with trio.open_nursery() as nursery:
        for _ in range(32):
            nursery.start_soon(deploy)


async def write(cluster: LogCluster, leader: str, seconds: float, outstanding: int = 4) -> list[float]:
    times_s: list[float] = []

    async def writer(number: int) -> None:
        async with cluster.client(leader) as client:
            while trio.current_time() < end_s:
                began_s = trio.current_time()
                await client("write", "key", f"{number}-{began_s}")
                times_s.append(trio.current_time() - began_s)

    end_s = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for number in range(outstanding):
            nursery.start_soon(writer, number)
    return times_s


def print_lag(status: dict[str, Any]) -> None:
    lag_ms, cpu_ms = 1000 * status["lag_s"], 1000 * status["lag_cpu_s"]
    print(f"  longest step {lag_ms:.1f} ms, by CPU {cpu_ms:.1f} ms ({status['lag_task']})", flush=True)


def p99_ms(times_s: list[float]) -> float:
    return 1000 * statistics.quantiles(times_s, n=100)[98]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--away", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="large-state-") as folder:
        async with LogCluster(Path(folder), 3) as cluster:
            leader = await cluster.leader()
            await cluster.ask(leader, "add_key", "key")
            await fill(cluster, leader, options.megabytes)
            await cluster.settle()
            leader = await cluster.leader()
            while not await cluster.ask(leader, "snapshot_done"):  # noqa: ASYNC110
                await trio.sleep(0.5)
            await cluster.ask(leader, "reset_lag")
            calm = await write(cluster, leader, 6)
            status = await cluster.ask(leader, "status")
            print(f"calm: p99 {p99_ms(calm):.1f} ms, {len(calm) / 6:.0f}/s, resident {status['rss_kb'] // 1024} MB")
            print_lag(status)
            await cluster.ask(leader, "reset_lag")
            before_kb, peak_kb = status["rss_kb"], 0
            during: list[float] = []
            began_s = trio.current_time()

            async def measure() -> None:
                nonlocal peak_kb
                while not await cluster.ask(leader, "snapshot_done"):
                    peak_kb = max(peak_kb, (await cluster.ask(leader, "status"))["rss_kb"])
                    await trio.sleep(0.05)
                nursery.cancel_scope.cancel()

            async def keep_writing() -> None:
                while True:
                    during.extend(await write(cluster, leader, 0.5))

            await cluster.ask(leader, "snapshot")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_writing)
                nursery.start_soon(measure)
            status = await cluster.ask(leader, "status")
            size_mb = (cluster[leader].raft_dir / "snapshot").stat().st_size / 1e6
            print(
                f"snapshot of {size_mb:.0f} MB in {trio.current_time() - began_s:.1f} s:"
                f" p99 {p99_ms(during):.1f} ms ({p99_ms(during) / p99_ms(calm):.1f}x),"
                f" peak resident {peak_kb // 1024} MB ({peak_kb / before_kb:.2f}x)"
            )
            print_lag(status)
            await catch_up(cluster, options.away)
            print(f"load {os.getloadavg()[0]:.0f}")


async def catch_up(cluster: LogCluster, away: int) -> None:
    leader = await cluster.leader()
    name = next(name for name in cluster.names if name != leader)
    await trio.to_thread.run_sync(cluster[name].kill)
    began = (await cluster.ask(leader, "status"))["commit"]
    while (index := (await cluster.ask(leader, "status"))["commit"]) < began + away:
        await write(cluster, leader, 2, outstanding=200)
    cluster[name].start()
    began_s = trio.current_time()
    with trio.fail_after(300):
        while True:
            try:
                if (await cluster.ask(name, "status", timeout_s=2))["applied"] >= index:
                    break
            except (Refused, Unknown):
                pass
            await trio.sleep(0.05)
    status = await cluster.ask(name, "status")
    print(f"away for {index - began} entries: level {trio.current_time() - began_s:.1f} s after its start")
    print_lag(status)


if __name__ == "__main__":
    trio.run(main)
