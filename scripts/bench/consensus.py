"""Replicated, durable writes beside etcd's: throughput, latency and CPU, in the same run on the same machine.

    .venv/bin/python -m scripts.bench.consensus [--seconds 5] [--rounds 3] [--profile FILE]

Three consensus-only processes of ours (tests/faults/log_node.py: the real peer channel with mutual TLS, Raft, journal)
and three of Debian's etcd (--peer-auto-tls), values of 200 bytes, one client process, at the leader. "command" is the
way of a whole daemon: proposer, command with an id, the real state machine; "forwarded" the same through a follower.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from scripts.bench.etcd_client import EtcdClient, EtcdCluster
from scripts.bench.machine_load import machine_cpu_s, processes_cpu_s
from tests.faults.log_cluster import LogCluster

VALUE = os.urandom(190)
KEYS = 100
Write = Callable[[int], Awaitable[object]]


class Result:
    def __init__(self, times_s: list[float], took_s: float, cpu_s: float, others_cpu: float) -> None:
        self.rate = len(times_s) / took_s
        quantiles = statistics.quantiles(times_s, n=100)
        self.p50_ms, self.p99_ms = 1000 * quantiles[49], 1000 * quantiles[98]
        self.cpu_ms = 1000 * cpu_s / len(times_s)
        self.others_cpu = others_cpu

    def __str__(self) -> str:
        return (
            f"{self.rate:8.0f}/s  p50 {self.p50_ms:7.2f} ms  p99 {self.p99_ms:7.2f} ms"
            f"  servers' CPU {self.cpu_ms:6.3f} ms a write  (others {100 * self.others_cpu:3.0f} % of a core)"
        )


async def measure(write: Write, outstanding: int, seconds: float, pids: list[int]) -> Result:
    times_s: list[float] = []
    number = 0

    async def writer() -> None:
        nonlocal number
        while time.perf_counter() < end_s:
            number += 1
            began_s = time.perf_counter()
            await write(number)
            times_s.append(time.perf_counter() - began_s)

    end_s = time.perf_counter() + 0.5
    await writer()
    times_s.clear()
    mine = [*pids, os.getpid()]
    before_s, cpu_s = time.perf_counter(), processes_cpu_s(pids)
    others_s = machine_cpu_s() - processes_cpu_s(mine)
    end_s = before_s + seconds
    async with trio.open_nursery() as nursery:
        for _ in range(outstanding):
            nursery.start_soon(writer)
    took_s = time.perf_counter() - before_s
    others = (machine_cpu_s() - processes_cpu_s(mine) - others_s) / took_s
    return Result(times_s, took_s, processes_cpu_s(pids) - cpu_s, others)


async def bench_etcd(folder: Path, seconds: float) -> dict[str, Result]:
    cluster = EtcdCluster(folder, [f"127.81.{os.getpid() % 250}.{n}" for n in (1, 2, 3)])
    with cluster.running():
        leader = await cluster.leader()
        async with EtcdClient(leader, 2379) as client:

            async def write(number: int) -> None:
                await client.put(b"%08d" % (number % KEYS), VALUE)

            return {f"write {n}": await measure(write, n, seconds, cluster.pids) for n in (1, 64)}


async def bench_ours(folder: Path, seconds: float, profile: str | None) -> dict[str, Result]:
    results = {}
    about = {"profile": profile} if profile else {}
    cluster = LogCluster(folder / "raw", 3, machine="values", **about)
    async with cluster:
        leader = await cluster.leader()
        pids = [member.process.pid for member in cluster.members.values() if member.process]
        async with cluster.client(leader) as client:

            async def write(number: int) -> None:
                await client("raw", b"%08d" % (number % KEYS) + VALUE)

            for n in (1, 64):
                results[f"write {n}"] = await measure(write, n, seconds, pids)
        if profile:
            cluster[leader].terminate()
    async with LogCluster(folder / "commands", 3) as cluster:
        leader = await cluster.leader()
        pids = [member.process.pid for member in cluster.members.values() if member.process]
        follower = next(name for name in cluster.names if name != leader)
        text = VALUE[:95].hex()
        for kind, name in (("command", leader), ("forwarded", follower)):
            async with cluster.client(name) as client:
                for key in range(KEYS):
                    if kind == "command":
                        await client("add_key", f"k{key}")

                async def change(number: int) -> None:
                    await client("write", f"k{number % KEYS}", text)

                for n in (1, 64):
                    results[f"{kind} {n}"] = await measure(change, n, seconds, pids)
    return results


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", help="where the leader of ours writes a cProfile (which slows it down)")
    options = parser.parse_args()
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-consensus-") as folder:
            print(
                f"round {number + 1}, load {os.getloadavg()[0]:.1f}, fdatasync {_sync_ms(Path(folder)):.2f} ms",
                flush=True,
            )
            (Path(folder) / "etcd").mkdir()
            theirs = await bench_etcd(Path(folder) / "etcd", options.seconds)
            ours = await bench_ours(Path(folder), options.seconds, options.profile)
        for kind, result in theirs.items():
            print(f"  etcd {kind:13} {result}")
        for kind, result in ours.items():
            reference = theirs[f"write {kind.split()[1]}"]
            ratio = f"rate {result.rate / reference.rate:.2f}x, p50 {result.p50_ms / reference.p50_ms:.2f}x of etcd's"
            print(f"  ours {kind:13} {result}  {ratio}", flush=True)


def _sync_ms(folder: Path) -> float:
    """The median of what the disk takes for a small write, alone."""
    times_s = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(250))
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            times_s.append(time.perf_counter() - began_s)
    return 1000 * statistics.median(times_s)


if __name__ == "__main__":
    trio.run(main)
