"""Short rounds of each fault on three and five real processes; scripts/soak has the long form."""

from __future__ import annotations

import random

import pytest
import trio

from tests.faults import faults
from tests.faults.log_cluster import LogCluster
from tests.faults.workload import Workload, check_cluster

# Snapshots and new segments of the log all the time, so that faults hit them, too.
SETTINGS = {"snapshot_after_entries": 300, "tail_entries_kept": 50, "segment_bytes": 16 * 1024}


@pytest.mark.parametrize(
    ("size", "rounds"),
    [
        (3, (faults.kill_leader, faults.stop_leader, faults.kill_all, faults.change_voters)),
        (5, (faults.kill_majority, faults.stop_and_kill, faults.transfer, faults.kill_again_and_again)),
    ],
    ids=["three", "five"],
)
async def test_nothing_is_lost_doubled_or_stale(tmp_path, size, rounds):
    rng = random.Random(size)
    async with LogCluster(tmp_path, size, preset="local", settings=SETTINGS) as cluster:
        workload = Workload(cluster, rng=rng)
        for fault in rounds:
            async with workload.running(clients_per_node=1):
                await trio.sleep(0.5)
                await fault(cluster, rng)
                await cluster.leader()
                await trio.sleep(1)
            assert not workload.account.wrong, (fault.__name__, workload.account.wrong[:5])
        await check_cluster(workload)
        assert workload.account.writes > 100
