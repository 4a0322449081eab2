"""1 → 3 → 5 → 1 → 3 nodes on real processes, while clients read and write at all of them: nothing stops, or is lost."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio

from tests.faults.log_client import Refused, Unknown
from tests.faults.log_cluster import LogCluster
from tests.faults.workload import Workload, check_cluster

# Joiners come by snapshot as well as by the log.
SETTINGS = {"snapshot_after_entries": 300, "tail_entries_kept": 50, "segment_bytes": 16 * 1024}


class GrowingCluster(LogCluster):
    """Begins with the first node alone."""

    async def start(self, voters: int | None = None) -> None:
        self["n1"].start()
        await self.leader(wait_s=30)

    async def grow(self, name: str) -> None:
        self[name].start()
        await self.add_voter(name)

    async def shrink(self, name: str) -> None:
        """Take its vote, then stop it for good."""
        with trio.fail_after(30):
            while name in (await self.ask(leader := await self.leader(), "status"))["voters"]:
                try:
                    await self.ask(leader, "remove_voter", name)
                except (Refused, Unknown):
                    await trio.sleep(0.05)
        await trio.to_thread.run_sync(self[name].terminate)


async def _voters(cluster: LogCluster) -> Sequence[str]:
    return list((await cluster.ask(await cluster.leader(), "status"))["voters"])


@pytest.mark.soak
async def test_a_cluster_grows_and_shrinks_under_writes(tmp_path):
    names = ["n1", "n2", "n3", "n4", "n5"]
    async with GrowingCluster(tmp_path, 5, preset="local", settings=SETTINGS) as cluster:
        workload = Workload(cluster, rng=random.Random(5))
        account = workload.account
        sizes = [3, 5, 1, 3, 5, 1, 5]
        for size in sizes:
            began_s, before = trio.current_time(), account.writes
            async with workload.running(clients_per_node=1):
                present = list(await _voters(cluster))
                for name in names[len(present) : size]:
                    await cluster.grow(name)
                for name in reversed(names[size : len(present)]):
                    await cluster.shrink(name)
                await trio.sleep(1)
            assert await _voters(cluster) == names[:size]
            assert account.writes > before + 20, "writes go on"
            pause_s = account.longest_pause_s(began_s, trio.current_time())
            print(f"{len(present)} -> {size} voters: {account.writes - before} writes, longest pause {pause_s:.2f} s")
            assert not account.wrong, account.wrong[:5]
        await check_cluster(workload)
