"""The agent against an engine in memory, under MockClock (design.md §2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from consensus.commands import (
    DeleteApp,
    DeleteVolume,
    ReportTasks,
    RescheduleTasks,
    ScaleApp,
    SetNodeStatus,
    StartNode,
)
from consensus.model.app_spec import AppSpec
from consensus.model.health_check import HealthCheck
from consensus.model.node import NodeStatus
from consensus.model.restart import RestartPolicy
from consensus.model.task import Health, TaskState
from consensus.model.workload import VolumeMount
from runtime import labels
from runtime.agent import Agent
from runtime.agent_config import AgentConfig
from runtime.engine.base import ContainerSpec
from runtime.engine.errors import ImagePullFailed
from tests.runtime.fake_engine import FakeEngine
from tests.runtime.local_cluster import CLUSTER, FACTS, NODE, LocalCluster

WEB = AppSpec(name="web", image="busybox:local", replicas=3)


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: agent.run(task_status=task_status))
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
async def cluster() -> LocalCluster:
    cluster = LocalCluster()
    await cluster.add_node()
    return cluster


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def test_a_task_waits_for_its_volume_and_says_so(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    agent = cluster.agent(engine)
    async with running(agent):
        with agent.volumes.uses.replacing("data"):
            (task_id,) = await cluster.deploy(replace(WEB, replicas=1, volumes=[VolumeMount("data", "/data")]))
            await trio.sleep(20)
            status = cluster.task(task_id).status
            assert status.message == "waits for volume 'data', which is being restored"
            assert (status.state, status.restart_count) == (TaskState.STARTING, 0)
        await trio.sleep(60)
        status = cluster.task(task_id).status
        assert (status.state, status.restart_count) == (TaskState.RUNNING, 0)


async def test_an_image_of_another_architecture_is_not_started_and_told(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    engine.image_architecture = "arm64"
    (task_id,) = await cluster.deploy(replace(WEB, replicas=1))
    async with running(cluster.agent(engine)):
        await trio.sleep(5)
        status = cluster.task(task_id).status
        assert (status.state, status.image_architecture) == (TaskState.FAILED, "arm64")
        assert status.message == f"image busybox:local is made for arm64, and this machine is {FACTS.architecture}"
        assert cluster.machine.state.apps["web"].architectures == {cluster.task(task_id).revision: "arm64"}
        assert not engine.containers
        engine.image_architecture = "amd64"
        await trio.sleep(60)
        status = cluster.task(task_id).status
        assert (status.state, status.image_architecture) == (TaskState.RUNNING, "")


async def test_a_deploy_runs_and_is_reported_in_batches(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        await cluster.deploy(WEB)
        await trio.sleep(1)
        tasks = cluster.in_state(TaskState.RUNNING)
        assert len(tasks) == 3
        assert all(task.serving and task.status.engine_id for task in tasks)
        assert engine.count("ensure_image") == 1
        # They ran before their being prepared was worth an entry.
        assert len(cluster.proposed) == 1
        container = engine.by_task(tasks[0].id)
        assert container.labels == {
            labels.CLUSTER: CLUSTER,
            labels.NODE: NODE,
            labels.APP: "web",
            labels.TASK: tasks[0].id,
        }


async def test_starts_are_bounded_and_side_by_side(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine, AgentConfig(parallel_starts=4))):
        await cluster.deploy(AppSpec(name="many", image="i", replicas=20))
        start_s = trio.current_time()
        while len(cluster.in_state(TaskState.RUNNING)) < 20:
            await cluster.machine.watch.changed(cluster.machine.watch.index)
        assert engine.busiest == 4
        assert trio.current_time() - start_s < 0.8


async def test_a_new_daemon_adopts_what_runs_and_restarts_nothing(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        await cluster.deploy(WEB)
        await trio.sleep(1)
    before = {c.engine_id: c.started_at_s for c in engine.containers.values()}
    state = cluster.machine.state
    engine.calls.clear()
    agent = cluster.agent(engine)
    async with running(agent):
        await trio.sleep(1)
        assert {method for method, _ in engine.calls} == {"events", "list", "list_volumes"}
        assert {c.engine_id: c.started_at_s for c in engine.containers.values()} == before
        assert cluster.machine.state is state
        assert agent.container_count == 3


async def test_before_it_has_caught_up_it_adopts_but_neither_makes_nor_removes(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        (kept,) = await cluster.deploy(AppSpec(name="kept", image="i"))
        (lost,) = await cluster.deploy(AppSpec(name="lost", image="i"))
        await trio.sleep(1)
    # A fresh replica knows nothing yet, as after a restart before a leader's first word.
    later = LocalCluster()
    later.caught_up_now = trio.Event()
    async with running(later.agent(engine, AgentConfig(offline_start_after_s=1000))):
        await trio.sleep(40)
        assert len(engine.containers) == 2
        later.learn_from(cluster)
        await later.do(DeleteApp(name="lost"))
        (new,) = await later.deploy(AppSpec(name="new", image="i"))
        await trio.sleep(40)
        assert engine.by_task(lost).status == "running"
        assert engine.count("create") == 2
        later.caught_up_now.set()
        await trio.sleep(1)
        assert {c.labels[labels.TASK] for c in engine.containers.values()} == {kept, new}
        assert engine.by_task(kept).started_at_s == later.task(kept).status.started_at_s


async def test_without_a_leader_for_long_it_starts_what_it_knows_but_removes_nothing(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    await cluster.deploy(WEB)
    cluster.caught_up_now = trio.Event()
    stray = ContainerSpec(name="stray", image="i", labels={**labels.own_labels(CLUSTER, NODE), labels.TASK: "x.1.y"})
    await engine.start(await engine.create(stray))
    async with running(cluster.agent(engine)):
        await trio.sleep(59)
        assert len(engine.containers) == 1
        await trio.sleep(2)
        assert len(engine.containers) == 4
        await trio.sleep(100)
        cluster.caught_up_now.set()
        await trio.sleep(1)
        assert len(engine.containers) == 3


async def test_others_containers_are_not_touched(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    for number, own in enumerate(({}, labels.own_labels(CLUSTER, "n2"), labels.own_labels("other", NODE))):
        await engine.create(ContainerSpec(name=f"x{number}", image="i", labels={**own, labels.TASK: f"t{number}"}))
    async with running(cluster.agent(engine)):
        await trio.sleep(100)
    assert len(engine.containers) == 3


async def test_what_crashes_is_restarted_later_and_later(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    engine.start_s = 0.0
    async with running(cluster.agent(engine)):
        (task_id,) = await cluster.deploy(AppSpec(name="crash", image="i"))
        await trio.sleep(1)
        engine_id = engine.by_task(task_id).engine_id
        died_at_s = trio.current_time()
        for _ in range(6):
            engine.die(engine_id)
            await engine.started()
        assert trio.current_time() - died_at_s == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2, abs=0.3)
        await trio.sleep(1)
        status = cluster.task(task_id).status
        assert (status.state, status.restart_count, status.engine_id) == (TaskState.RUNNING, 6, engine_id)
        engine.die(engine_id, 0)
        await trio.sleep(1)
        status = cluster.task(task_id).status
        assert (status.state, status.exit_code, status.message) == (TaskState.COMPLETED, 0, "exited with code 0")


async def test_scaling_down_and_deleting_remove_containers_and_tasks(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        await cluster.deploy(WEB)
        await trio.sleep(1)
        await cluster.do(ScaleApp(name="web", replicas=1))
        await trio.sleep(1)
        assert len(engine.containers) == len(cluster.machine.state.tasks) == 1
        engine.ignores_signal = True
        await cluster.do(DeleteApp(name="web"))
        await trio.sleep(1)
        assert [task.status.state for task in cluster.machine.state.tasks.values()] == [TaskState.STOPPING]
        await trio.sleep(10)
        assert not engine.containers
        assert not cluster.machine.state.tasks


async def test_a_node_that_was_held_lost_gives_up_what_was_placed_elsewhere(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    """A partition: its reports are refused while it is lost, and its tasks are gone when it hears again."""
    async with running(cluster.agent(engine)):
        task_ids = await cluster.deploy(WEB)
        await trio.sleep(1)
        await cluster.do(SetNodeStatus(node_id=NODE, expected=NodeStatus.READY, status=NodeStatus.LOST))
        engine.die(engine.by_task(task_ids[0]).engine_id)
        await trio.sleep(1)
        refused = len(cluster.proposed)
        await trio.sleep(100)
        assert len(cluster.proposed) == refused
        await cluster.do(RescheduleTasks(task_ids=task_ids))
        await cluster.do(StartNode(node_id=NODE, boot_id="b2", facts=FACTS))
        await trio.sleep(5)
        assert not engine.containers


async def test_a_dismissed_agent_removes_all_that_is_its_own_without_a_leaders_leave(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    """The members turn this node away, so its own replica never tells that the tasks went elsewhere."""
    cluster.caught_up_now = trio.Event()
    await cluster.deploy(WEB)
    agent = cluster.agent(engine)
    async with running(agent):
        await trio.sleep(70)
        assert len(cluster.in_state(TaskState.RUNNING)) == 3
        agent.dismiss()
        await trio.sleep(30)
        assert not engine.containers


async def test_reports_are_kept_while_there_is_no_leader(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        cluster.unavailable = True
        (task_id,) = await cluster.deploy(AppSpec(name="web", image="i"))
        await trio.sleep(30)
        assert engine.by_task(task_id).status == "running"
        assert cluster.task(task_id).status.state is TaskState.ASSIGNED
        cluster.unavailable = False
        await trio.sleep(3)
        assert cluster.task(task_id).serving


async def test_a_failed_pull_says_so_in_the_engines_words(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    engine.pull_s = 5.0
    engine.pull_error = ImagePullFailed("cannot pull i: dial tcp: no such host")
    async with running(cluster.agent(engine)):
        task_ids = await cluster.deploy(AppSpec(name="web", image="i", replicas=2))
        await trio.sleep(1)
        assert cluster.task(task_ids[0]).status.message == "pulling i: 50 % of 1 MiB"
        await trio.sleep(5)
        assert engine.count("ensure_image") <= 2
        for task_id in task_ids:
            status = cluster.task(task_id).status
            assert (status.state, status.message) == (TaskState.FAILED, "cannot pull i: dial tcp: no such host")
        engine.pull_error = None
        await trio.sleep(20)
        assert all(cluster.task(task_id).serving for task_id in task_ids)


async def test_it_lives_through_an_engine_that_is_away(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    agent = cluster.agent(engine)
    async with running(agent):
        (task_id,) = await cluster.deploy(AppSpec(name="web", image="i"))
        await trio.sleep(1)
        engine.down = True
        engine.break_events()
        await trio.sleep(60)
        assert agent.engine_problem == "connection refused"
        assert cluster.task(task_id).status.state is TaskState.RUNNING
        # Died unseen, and a new task came meanwhile.
        engine.die(engine.by_task(task_id).engine_id)
        await cluster.deploy(AppSpec(name="new", image="i"))
        await trio.sleep(20)
        engine.down = False
        await trio.sleep(120)
        assert agent.engine_problem is None
        assert len(cluster.in_state(TaskState.RUNNING)) == 2
        assert cluster.task(task_id).status.restart_count == 1


async def test_it_starts_while_the_engine_is_away(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    engine.down = True
    await cluster.deploy(WEB)
    async with running(cluster.agent(engine)):
        await trio.sleep(10)
        engine.down = False
        await trio.sleep(10)
        assert len(cluster.in_state(TaskState.RUNNING)) == 3


async def test_a_missed_event_is_made_good_by_the_next_listing(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    async with running(cluster.agent(engine)):
        (task_id,) = await cluster.deploy(AppSpec(name="web", image="i"))
        await trio.sleep(1)
        subscribers, engine._subscribers = engine._subscribers, []
        engine.die(engine.by_task(task_id).engine_id)
        engine._subscribers = subscribers
        await trio.sleep(31)
        assert cluster.task(task_id).status.restart_count == 1


async def test_health_follows_the_probes_and_only_changes_are_reported(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    check = HealthCheck(command="probe", interval="2s", timeout="1s", retries=2)
    left_alone = RestartPolicy(policy="no")
    agent = cluster.agent(engine)
    async with running(agent):
        (task_id,) = await cluster.deploy(AppSpec(name="web", image="i", health_check=check, restart=left_alone))
        await trio.sleep(0.5)
        assert cluster.task(task_id).status.health is Health.STARTING
        await trio.sleep(2)
        assert cluster.task(task_id).serving
        reports = len(cluster.proposed)
        await trio.sleep(100)
        assert len(cluster.proposed) == reports
        engine.exec_exit_code = 7
        await trio.sleep(5)
        assert cluster.task(task_id).status.health is Health.UNHEALTHY
        report = agent.health(task_id)
        assert report is not None
        assert report.history[0].message == "exit code 7: words"
        assert len(report.history) == 50
        engine.exec_exit_code, engine.exec_s = 0, 3.0
        await trio.sleep(10)
        report = agent.health(task_id)
        assert report is not None
        assert report.history[0].message == "no end within 1 s"
        assert all(isinstance(command, ReportTasks) for command in cluster.proposed)


async def test_volumes_are_made_on_first_use_and_removed_with_their_name(
    cluster: LocalCluster, engine: FakeEngine, autojump_clock: MockClock
) -> None:
    name = labels.volume_name(CLUSTER, NODE, "data")
    await engine.create_volume("of-somebody-else", labels={labels.VOLUME: "data"})
    async with running(cluster.agent(engine)):
        await cluster.deploy(
            AppSpec(name="db", image="i", volumes=[VolumeMount(name="data", mount_path="/data", read_only=False)])
        )
        await trio.sleep(1)
        assert engine.volumes[name].labels[labels.VOLUME] == "data"
        await cluster.do(DeleteVolume(name="data", force=True))
        await trio.sleep(1)
        assert name in engine.volumes
        await cluster.do(DeleteApp(name="db"))
        await trio.sleep(40)
        assert list(engine.volumes) == ["of-somebody-else"]
