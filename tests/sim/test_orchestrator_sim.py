"""The orchestrator against many played nodes under virtual time (issue 5, bar 5): deploys, scales, losses, returns,
drains in random order; afterwards what is equals what is wanted. A failure prints its seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Set

import pytest
import trio
import trio.testing

from consensus.commands import (
    CreateDeployment,
    CreateJob,
    DeleteApp,
    DeployApp,
    RestartApp,
    ScaleApp,
    SetMaintenance,
    SetSetting,
    SuspendJob,
)
from consensus.model.deployment import Change, DeploymentStatus
from consensus.model.job import JobSpec
from consensus.model.node import NodeStatus
from consensus.model.workload import Resources
from tests.consensus.making import spec
from tests.sim.orchestrator_world import World
from tests.sim.trouble import Trouble

NODES = 7


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def _job(rng: random.Random, number: int) -> JobSpec:
    schedule = rng.choice([None, "*/15 * * * * *"])
    return JobSpec(
        name=f"job{number}",
        image="busybox",
        resources=Resources(cpu=rng.choice([0, 0.3])),
        schedule=schedule,
        concurrency_policy=rng.choice(["allow", "forbid", "replace"]) if schedule else "allow",
        completions=rng.randint(1, 4),
        parallelism=rng.randint(1, 3),
        backoff_limit=rng.randint(0, 6),
        retry_delay=rng.choice([0, "2s"]),
        timeout=rng.choice([None, "20s"]),
    )


async def _quiet(world: World) -> None:
    """No schedule begins anything more, and none has begun anything twice."""
    for name in world.machine.state.jobs:
        await world.propose(SuspendJob(name, suspended=True))
    instants = [
        (run.owner, run.scheduled_at_s) for run in world.machine.state.runs.values() if run.scheduled_at_s is not None
    ]
    assert len(set(instants)) == len(instants)


async def _change(world: World, number: int) -> None:
    rng, apps = world.rng, sorted(world.machine.state.apps)
    kind = rng.choice(["deploy", "deploy", "scale", "restart", "delete", "term", "job", "job"]) if apps else "deploy"
    match kind:
        case "deploy":
            wish = spec(
                f"app{number}",
                rng.randint(1, 6),
                cpu=rng.choice([0, 0.1, 0.3]),
                memory=f"{rng.choice([0, 64])}M",
                mode=rng.choice(["replicated", "replicated", "global"]),
            )
            await world.propose(DeployApp(wish))
        case "job":
            await world.propose(CreateJob(_job(rng, number)))
        case "scale":
            await world.propose(ScaleApp(rng.choice(apps), rng.randint(0, 8)))
        case "restart":
            await world.propose(RestartApp(rng.choice(apps)))
        case "delete":
            await world.propose(DeleteApp(rng.choice(apps)))
        case "term":
            world.raft.new_term()


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 40))])
async def test_after_any_trouble_what_is_equals_what_is_wanted(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with trio.open_nursery() as nursery:
        world = World(rng, nursery, nodes=NODES)
        overfull: list[str] = []
        world.machine.on_answer(lambda *_: overfull.extend(world.overfull()))
        await world.open()
        trouble = Trouble(times=60, per_s=0.3, changes=0.6, at_once=4, longest_s=40, longest_restart_s=80)
        await trouble.run(world, lambda number: _change(world, number))
        await _quiet(world)
        await world.settle()
        await world.even_out()
        await world.settle()
        assert not overfull
        assert len(world.raft.voters) == 5
        for name in world.machine.state.apps:
            on_node = Counter(task.node_id for task in world.machine.state.tasks_of_app(name))
            counts = [on_node[node_id] for node_id in world.nodes]
            assert max(counts) - min(counts) <= 1, (name, counts)
        nursery.cancel_scope.cancel()


async def test_a_deploy_becomes_one_placement_and_is_spread(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(1), nursery, nodes=3)
        await world.open()
        placements: list[int] = []
        world.machine.on_touch(lambda _: placements.append(len(world.machine.state.unplaced_task_ids)))
        await world.propose(DeployApp(spec("web", 30)))
        await world.settle()
        assert placements[:2] == [30, 0]
        assert [len(node.containers) for node in world.nodes.values()] == [10, 10, 10]
        assert not world.pings
        nursery.cancel_scope.cancel()


def _watch_moves(world: World) -> list[int]:
    """How many replicas were being moved at once, at each entry."""
    counts: list[int] = []
    world.machine.on_answer(
        lambda *_: counts.append(sum(move.under_way for move in world.machine.state.moves.values()))
    )
    return counts


def _watch_serving(world: World, app: str) -> list[int]:
    counts: list[int] = []

    def note(apps: Set[str]) -> None:
        if app in apps:
            counts.append(sum(task.serving for task in world.machine.state.tasks_of_app(app)))

    world.machine.on_touch(note)
    return counts


async def test_a_restart_replaces_everything_and_never_serves_less(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(2), nursery, nodes=3)
        await world.open()
        await world.propose(DeployApp(spec("web", 6)))
        await world.settle()
        before = set(world.machine.state.tasks)
        serving = _watch_serving(world, "web")
        await world.propose(RestartApp("web"))
        await world.settle()
        assert not before & set(world.machine.state.tasks)
        assert min(serving) == 6
        assert max(serving) == 7
        assert [len(node.containers) for node in world.nodes.values()] == [2, 2, 2]
        nursery.cancel_scope.cancel()


async def test_a_drain_empties_the_node_and_never_serves_less(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(3), nursery, nodes=4)
        await world.open()
        for name in ("a", "b", "c"):
            await world.propose(DeployApp(spec(name, 5)))
        await world.settle()
        serving = [_watch_serving(world, name) for name in ("a", "b", "c")]
        await world.propose(SetMaintenance("n2", enable=True, drain=True))
        await world.settle()
        assert not world.nodes["n2"].containers
        assert [min(counts) for counts in serving] == [5, 5, 5]
        nursery.cancel_scope.cancel()


async def test_a_node_that_returns_gets_its_share_back_and_nobody_serves_less(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its tasks went elsewhere; once it has been ready for `rebalance_settle_s`, a fair share comes, one by one."""
    async with trio.open_nursery() as nursery:
        world = World(random.Random(7), nursery, nodes=4)
        await world.open()
        for name in ("a", "b"):
            await world.propose(DeployApp(spec(name, 8)))
        await world.settle()
        world.nodes["n3"].stop(power=True)
        await trio.sleep(10)
        await world.containers_reach(16)
        serving = [_watch_serving(world, name) for name in ("a", "b")]
        at_once = _watch_moves(world)
        await world.nodes["n3"].start()
        await trio.sleep(25)
        assert not world.moved
        await world.even_out()
        await world.settle()
        assert [len(node.containers) for node in world.nodes.values()] == [4, 4, 4, 4]
        assert len(world.moved) == 4
        assert max(at_once) == 1
        assert [min(counts) for counts in serving] == [8, 8]
        nursery.cancel_scope.cancel()


async def test_what_rebalancing_may_not_touch_stays(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(8), nursery, nodes=3)
        await world.open()
        await world.propose(SetMaintenance("n2", enable=True))
        await world.propose(DeployApp(spec("stays", 6, rebalance=False)))
        await world.propose(DeployApp(spec("moves", 6)))
        await world.settle()
        await world.propose(SetSetting("scheduler.rebalance", False))
        await world.propose(SetMaintenance("n2", enable=False))
        await world.even_out()
        assert not world.moved
        await world.propose(SetSetting("scheduler.rebalance", True))
        await world.even_out()
        assert {task_id.partition(".")[0] for task_id in world.moved} == {"moves"}
        assert len(world.nodes["n2"].containers) == 2
        nursery.cancel_scope.cancel()


async def test_an_app_says_anew_whether_it_may_be_rebalanced_and_no_replica_is_made_for_that(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(9), nursery, nodes=3)
        await world.open()
        await world.propose(SetMaintenance("n2", enable=True))
        await world.propose(DeployApp(spec("web", 6, rebalance=False)))
        await world.settle()
        await world.propose(SetMaintenance("n2", enable=False))
        await world.even_out()
        before = set(world.machine.state.tasks)
        await world.propose(CreateDeployment("web", Change(spec=spec("web", 6)), execute=True))
        await world.settle()
        await world.even_out()
        assert [len(node.containers) for node in world.nodes.values()] == [2, 2, 2]
        assert len(world.moved) == 2
        assert before - set(world.machine.state.tasks) == world.moved, "only those that were moved are others"
        # And back: what is uneven from then on stays so.
        before = set(world.machine.state.tasks)
        await world.propose(CreateDeployment("web", Change(spec=spec("web", 6, rebalance=False)), execute=True))
        await world.settle()
        assert set(world.machine.state.tasks) == before
        world.moved.clear()
        await world.propose(SetMaintenance("n2", enable=True, drain=True))
        await world.settle()
        await world.propose(SetMaintenance("n2", enable=False))
        await world.even_out()
        assert not world.moved
        assert {deployment.status for deployment in world.machine.state.deployments.values()} == {
            DeploymentStatus.COMPLETED
        }
        nursery.cancel_scope.cancel()


async def test_a_lost_node_is_replaced_within_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(4), nursery, nodes=4)
        await world.open()
        await world.propose(DeployApp(spec("web", 8)))
        await world.settle()
        world.nodes["n3"].stop(power=True)
        with trio.fail_after(8):
            await world.containers_reach(8)
        assert world.machine.state.nodes["n3"].status is NodeStatus.LOST
        assert set(world.pings) == {"n3"}
        nursery.cancel_scope.cancel()


async def test_a_daemons_restart_moves_nothing_until_the_grace_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(5), nursery, nodes=4)
        await world.open()
        await world.propose(DeployApp(spec("web", 8)))
        await world.settle()
        before = dict(world.nodes["n3"].containers)
        world.nodes["n3"].restart()
        await trio.sleep(55)
        assert world.machine.state.nodes["n3"].status is NodeStatus.RESTARTING
        await world.nodes["n3"].start()
        await world.settle()
        assert world.nodes["n3"].containers == before
        world.nodes["n3"].restart()
        await trio.sleep(65)
        assert world.machine.state.nodes["n3"].status is NodeStatus.LOST
        assert not list(world.machine.state.tasks_on_node("n3"))
        nursery.cancel_scope.cancel()


async def test_a_mass_loss_pauses_until_a_majority_is_stable(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(6), nursery, nodes=10)
        await world.open()
        await world.propose(DeployApp(spec("web", 30)))
        await world.settle()
        victims = [world.nodes[f"n{i}"] for i in range(5, 9)]
        for node in victims:
            node.stop(power=False)
        await trio.sleep(8)
        state = world.machine.state
        assert "mass-node-loss" in state.alerts
        assert sum(len(list(state.tasks_on_node(node.id))) for node in victims) == 12
        await victims[0].start()
        await trio.sleep(30)
        state = world.machine.state
        assert set(state.alerts) == {f"node-lost.{node.id}" for node in victims[1:]}
        assert not any(list(state.tasks_on_node(node.id)) for node in victims[1:])
        assert len(list(state.tasks_on_node(victims[0].id))) >= 3
        nursery.cancel_scope.cancel()
