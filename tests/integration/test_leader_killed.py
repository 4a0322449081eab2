"""Issue 2, bar 3: kill -9 the leader while clients write at the other nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import httpx2
import pytest
import trio

from tests.support.cluster import Cluster, Node
from tests.support.leaders import followers, leader, wait_whole
from tests.support.ledger import Ledger, Writers, check
from tests.support.metrics import metric, worst_step
from tests.support.waiting import wait_until_async

WARM_UP_WRITES = 100
WRITES_AFTER = 200
RECOVERED_S = 30.0


async def kill_the_leader_under_load(cluster: Cluster, name: str) -> tuple[Ledger, float, Node]:
    """The ledger, the pause in acknowledged writes (s), and the node that was killed."""
    in_thread = trio.to_thread.run_sync
    chief = await in_thread(leader, cluster)
    others = await in_thread(followers, cluster)
    writers = Writers(cluster, name)
    ledger = writers.ledger
    async with writers.running(others[0].number), writers.running(others[1].number):
        await wait_until_async(_has(ledger, WARM_UP_WRITES), RECOVERED_S, f"{WARM_UP_WRITES} writes")
        before = ledger.writes
        killed_s = trio.current_time()
        await in_thread(chief.kill9)
        await wait_until_async(
            _has(ledger, before + WRITES_AFTER), RECOVERED_S, f"{WRITES_AFTER} more writes; {ledger.problems[-5:]}"
        )
        pause_s = ledger.longest_pause_s(killed_s, trio.current_time())
    for node in others:
        await in_thread(_check, cluster, node.number, ledger)
    return ledger, pause_s, chief


def _has(ledger: Ledger, writes: int) -> Callable[[], object]:
    async def reached() -> bool:
        return ledger.writes >= writes

    return reached


def _check(cluster: Cluster, number: int, ledger: Ledger) -> None:
    with cluster.client(number, timeout_s=30) as client:
        check(ledger, client)


async def rounds(cluster: Cluster, prefix: str, count: int, figure: Callable[[str], None]) -> None:
    in_thread = trio.to_thread.run_sync
    for number in range(count):
        ledger, pause_s, killed = await kill_the_leader_under_load(cluster, f"{prefix}{number}")
        steps = {node.number: worst_step(cluster, node.number) for node in cluster.nodes if node is not killed}
        figure(
            f"bar 3, round {number + 1}: {ledger.writes} writes acknowledged, none lost or applied twice;"
            f" {len(ledger.unsure)} unsure; pause {pause_s:.2f} s"
        )
        for node_number, step in steps.items():
            figure(f"bar 9, round {number + 1}: longest step at node {node_number} since its start: {step}")
        await in_thread(killed.start)
        await in_thread(wait_whole, cluster)
        await in_thread(_check, cluster, killed.number, ledger)


@pytest.mark.parametrize(
    "count", [1, pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], ids="{}-rounds".format
)
async def test_no_acknowledged_write_is_lost_or_applied_twice(
    three: Cluster, count: int, figure: Callable[[str], None]
) -> None:
    await rounds(three, f"of-{count}-", count, figure)


@pytest.mark.soak
async def test_no_step_holds_the_loop_long_under_these_writes(three: Cluster, figure: Callable[[str], None]) -> None:
    """Bar 9: no step over 20 ms, asserted of its CPU time: on a shared machine the kernel gives cores to others."""
    writers = Writers(three, "lag")
    async with writers.running(1), writers.running(2), writers.running(3):
        await wait_until_async(_has(writers.ledger, 600), 60, "600 writes")
    await trio.to_thread.run_sync(partial(_check, three, 1, writers.ledger))
    for node in three.nodes:
        slow = metric(three, node.number, 'hivemind_loop_slow_steps_total{over_s="0.02"}')
        figure(
            f"bar 9, writes at all nodes: node {node.number}: {worst_step(three, node.number)}; over 20 ms: {slow:g}"
        )
        assert metric(three, node.number, "hivemind_loop_lag_max_seconds") < 0.5
        assert metric(three, node.number, "hivemind_loop_lag_max_cpu_seconds") < 0.02


async def test_200_writes_at_once_each_get_a_definite_answer(three: Cluster, figure: Callable[[str], None]) -> None:
    """Issue 7, bar 7. All are out before the leader dies, half through each of the others; a retry by key acts once."""
    in_thread = trio.to_thread.run_sync
    chief = await in_thread(leader, three)
    others = await in_thread(followers, three)
    statuses: dict[str, int] = {}
    async with (
        three.async_client(others[0].number, timeout_s=60) as one,
        three.async_client(others[1].number, timeout_s=60) as other,
    ):

        async def write(name: str, client: httpx2.AsyncClient) -> int:
            body, headers = {"name": name}, {"Idempotency-Key": name}
            return (await client.post("/api/volumes/create", json=body, headers=headers)).status_code

        async def first(number: int) -> None:
            statuses[f"at-once-{number}"] = await write(f"at-once-{number}", (one, other)[number % 2])

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(first, number)
            await wait_until_async(lambda: _done(statuses), 30, "the first answers")
            await in_thread(chief.kill9)
        counts = Counter(statuses.values())
        figure(f"bar 7: 200 writes at once, the leader killed meanwhile: answers {dict(counts)}")
        assert set(counts) <= {201, 503, 504}
        there = await in_thread(_volumes, three, others[0].number)
        for name, status in statuses.items():
            assert status != 201 or name in there, f"{name} was acknowledged, and is lost"
            assert status != 503 or name not in there, f"{name} was refused, and is there"
        for name in statuses:
            assert await write(name, other) == 201, f"{name}: the retry acted again, or did not"
    await in_thread(chief.start)
    await in_thread(wait_whole, three)
    for node in three.nodes:
        assert set(statuses) <= await in_thread(_volumes, three, node.number)


async def _done(statuses: dict[str, int]) -> bool:
    return bool(statuses)


def _volumes(cluster: Cluster, number: int) -> set[str]:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get("/api/volumes", params={"limit": 1000, "consistent": "true", "fields": "name"})
        return {volume["name"] for volume in answer.json()["data"]["volumes"]}
