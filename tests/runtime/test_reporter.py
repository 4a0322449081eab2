"""When status changes are proposed, under MockClock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from consensus.commands import ReportTasks
from consensus.model.app_spec import AppSpec
from consensus.model.task import TaskState, TaskStatus
from runtime.reporter import MAX_BATCH, StatusReporter
from tests.runtime.local_cluster import NODE, LocalCluster

BATCH_S, PROGRESS_S = 0.02, 0.5
STARTING = TaskStatus(state=TaskState.STARTING)
RUNNING = TaskStatus(state=TaskState.RUNNING)


@asynccontextmanager
async def reporting(replicas: int) -> AsyncIterator[tuple[LocalCluster, StatusReporter, Sequence[str]]]:
    cluster = LocalCluster()
    await cluster.add_node()
    ids = await cluster.deploy(AppSpec(name="web", image="busybox:local", replicas=replicas))
    reporter = StatusReporter(NODE, cluster.machine, cluster, batch_s=BATCH_S, progress_batch_s=PROGRESS_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        yield cluster, reporter, ids
        nursery.cancel_scope.cancel()


def reported(cluster: LocalCluster) -> list[dict[str, TaskState]]:
    commands = [command for command in cluster.proposed if isinstance(command, ReportTasks)]
    return [{report.task_id: report.status.state for report in command.reports} for command in commands]


async def test_a_task_that_runs_soon_is_told_of_once(autojump_clock: MockClock) -> None:
    async with reporting(1) as (cluster, reporter, (task,)):
        reporter.put(task, TaskStatus(state=TaskState.PREPARING))
        await trio.sleep(0.1)
        reporter.put(task, STARTING)
        await trio.sleep(0.2)
        reporter.put(task, RUNNING)
        await trio.sleep(1.5 * BATCH_S)
        assert reported(cluster) == [{task: TaskState.RUNNING}]
        await trio.sleep(10)
        assert len(cluster.proposed) == 1


async def test_one_that_takes_long_is_told_of_meanwhile(autojump_clock: MockClock) -> None:
    async with reporting(1) as (cluster, reporter, (task,)):
        reporter.put(task, STARTING)
        await trio.sleep(0.9 * PROGRESS_S)
        assert reported(cluster) == []
        await trio.sleep(0.2 * PROGRESS_S)
        assert reported(cluster) == [{task: TaskState.STARTING}]


async def test_what_is_under_way_goes_along_with_what_is_urgent(autojump_clock: MockClock) -> None:
    async with reporting(2) as (cluster, reporter, (one, other)):
        reporter.put(one, STARTING)
        reporter.put(other, RUNNING)
        await trio.sleep(10)
        assert reported(cluster) == [{one: TaskState.STARTING, other: TaskState.RUNNING}]


async def test_starts_side_by_side_are_told_of_together_and_the_last_of_them_at_once(autojump_clock: MockClock) -> None:
    async with reporting(3) as (cluster, reporter, ids):
        one, other, last = ids
        for task in ids:
            reporter.put(task, STARTING)
        reporter.put(one, RUNNING)
        await trio.sleep(0.5 * PROGRESS_S)
        reporter.put(other, RUNNING)
        assert reported(cluster) == []
        reporter.put(last, RUNNING)
        await trio.sleep(1.5 * BATCH_S)
        assert reported(cluster) == [dict.fromkeys(ids, TaskState.RUNNING)]


async def test_what_becomes_of_one_that_runs_does_not_wait_for_starts(autojump_clock: MockClock) -> None:
    async with reporting(2) as (cluster, reporter, (one, other)):
        reporter.put(one, RUNNING)
        reporter.put(other, STARTING)
        await trio.sleep(1.5 * BATCH_S)
        reporter.put(one, TaskStatus(state=TaskState.RUNNING, health="healthy"))
        await trio.sleep(1.5 * BATCH_S)
        assert [len(reports) for reports in reported(cluster)] == [2, 1]


async def test_many_go_in_several_entries_and_all_are_told_of(autojump_clock: MockClock) -> None:
    async with reporting(MAX_BATCH + 1) as (cluster, reporter, ids):
        for task in ids:
            reporter.put(task, RUNNING)
        await trio.sleep(1)
        assert [len(reports) for reports in reported(cluster)] == [MAX_BATCH, 1]
        assert reporter.waiting == 0


async def test_what_was_not_accepted_is_told_again(autojump_clock: MockClock) -> None:
    async with reporting(1) as (cluster, reporter, (task,)):
        cluster.unavailable = True
        reporter.put(task, RUNNING)
        await trio.sleep(5)
        assert (reported(cluster), reporter.waiting) == ([], 1)
        cluster.unavailable = False
        await trio.sleep(3)
        assert reported(cluster) == [{task: TaskState.RUNNING}]
        assert reporter.waiting == 0
