"""How long writes pause: after kill -9 of the leader, and at a planned restart of it.

    python -m tests.faults.failover [--rounds 30] [--preset default|local]

Three consensus-only processes on loopback, a client at each of the two nodes that stay, one write after the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import trio

from tests.faults.log_client import LogClient, Refused, Unknown
from tests.faults.log_cluster import LogCluster


class Writer:
    """Writes without a pause; `accepted_s` are the times of the answers."""

    def __init__(self, client: LogClient) -> None:
        self._client = client
        self.accepted_s: list[float] = []
        self.failed: list[str] = []
        self.slowest_s = 0.0

    async def run(self) -> None:
        number = 0
        while True:
            number += 1
            began_s = trio.current_time()
            try:
                await self._client("write", "key", f"{id(self)}-{number}")
            except (Refused, Unknown) as error:
                self.failed.append(str(error))
                continue
            self.accepted_s.append(trio.current_time())
            self.slowest_s = max(self.slowest_s, trio.current_time() - began_s)


async def one_round(cluster: LogCluster, *, planned: bool) -> tuple[float, int]:
    """The longest time that writers at the other nodes waited, and how many of their writes failed."""
    leader = await cluster.leader()
    others = [name for name in cluster.names if name != leader]
    async with cluster.client(others[0]) as one, cluster.client(others[1]) as other, trio.open_nursery() as nursery:
        writers = [Writer(one), Writer(other)]
        for writer in writers:
            nursery.start_soon(writer.run)
        await trio.sleep(0.5)
        if planned:
            await cluster.ask(leader, "transfer")
            await trio.sleep(0.05)
            await trio.to_thread.run_sync(cluster[leader].terminate)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
            pause_s = max(writer.slowest_s for writer in writers)
        else:
            killed_s = trio.current_time()
            await trio.to_thread.run_sync(cluster[leader].kill)
            while not all(w.accepted_s and w.accepted_s[-1] > killed_s + 0.05 for w in writers):  # noqa: ASYNC110
                await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
            # Answers within the first 50 ms may be on their way since before.
            pause_s = min(next(t for t in w.accepted_s if t > killed_s + 0.05) for w in writers) - killed_s
    cluster[leader].start()
    await cluster.settle()
    return pause_s, sum(len(writer.failed) for writer in writers)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--preset", choices=["default", "local"], default="default")
    options = parser.parse_args()
    for planned in (True, False):
        with tempfile.TemporaryDirectory(prefix="failover-") as folder:
            async with LogCluster(Path(folder), 3, preset=options.preset) as cluster:
                await cluster.ask(await cluster.leader(), "add_key", "key")
                rounds = [await one_round(cluster, planned=planned) for _ in range(options.rounds)]
        pauses_s = sorted(pause_s for pause_s, _ in rounds)
        kind = "planned restart, slowest write" if planned else "kill -9 to first accepted write"
        print(
            f"{kind}: p50 {statistics.median(pauses_s):.3f} s, p99 {pauses_s[round(0.99 * (len(pauses_s) - 1))]:.3f} s,"
            f" failed writes {sum(failed for _, failed in rounds)}, {len(rounds)} rounds,"
            f" preset {options.preset}, load {os.getloadavg()[0]:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    trio.run(main)
