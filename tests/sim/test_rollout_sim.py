"""Deployments under trouble and changes of leaders, under virtual time (issue 5, bars 4 and 5): each ends completed or
rolled back, never stuck, and never with both versions after its end. A failure prints its seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Set

import pytest
import trio
import trio.testing

from consensus.commands import (
    CreateDeployment,
    DeployApp,
    PromoteDeployment,
    RollbackDeployment,
    ScaleApp,
    SetMaintenance,
)
from consensus.model.deployment import Change, Deployment, DeploymentStatus
from consensus.model.strategy import (
    ABTesting,
    BlueGreen,
    Canary,
    RollingUpdate,
    Simple,
    Strategy,
    Variant,
)
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.outcomes import Recorded, Refusal
from tests.consensus.making import spec
from tests.sim.orchestrator_world import World

CRASHES = TaskStatus(state=TaskState.FAILED, restart_count=2, message="exited with code 1")
SICK = TaskStatus(state=TaskState.RUNNING, health=Health.UNHEALTHY)
HANGS = TaskStatus(state=TaskState.RUNNING, health=Health.STARTING)
VARIANTS = [Variant(image="new", percentage=30), Variant(image="new-b", percentage=40)]
STRATEGIES: list[Callable[[], Strategy]] = [
    RollingUpdate,
    lambda: RollingUpdate(max_surge=0, max_unavailable=2, progress_deadline="40s"),
    lambda: RollingUpdate(max_surge="100%", batch_delay="1s", monitor="3s", progress_deadline="40s"),
    lambda: RollingUpdate(order="stop-first", progress_deadline="40s"),
    lambda: Simple(progress_deadline="60s"),
    lambda: BlueGreen(verification_timeout="40s", keep_old="20s"),
    lambda: BlueGreen(verification_timeout="40s", keep_old=0),
    lambda: Canary(percentage=20, steps=[20, 50], interval="5s", progress_deadline="40s"),
    lambda: ABTesting(variants=VARIANTS, duration="20s", progress_deadline="40s"),
]


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


async def _deploy(world: World, strategy: Strategy, image: str = "new", app: str = "web") -> str:
    command = CreateDeployment(app, Change(image=image), strategy, execute=True)
    outcome = await world.propose(command)
    assert isinstance(outcome, Recorded), outcome
    return outcome.deployment_id


def _of(world: World, deployment_id: str) -> Deployment:
    return world.machine.state.deployments[deployment_id]


def _images(world: World, app: str = "web") -> set[str]:
    state = world.machine.state
    return {state.spec_of(task).image for task in state.tasks_of_app(app)}


async def _ended(world: World, deployment_id: str, timeout_s: float = 1500.0) -> Deployment:
    """The default `progress_deadline` is 600 s, and a drain may begin it anew."""
    with trio.move_on_after(timeout_s):
        while not _of(world, deployment_id).status.finished:
            await world.newer_than(world.version)
    deployment = _of(world, deployment_id)
    assert deployment.status.finished, (deployment, world.problems())
    return deployment


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(12, 80))])
async def test_any_deployment_ends_whatever_happens(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with trio.open_nursery() as nursery:
        world = World(rng, nursery, nodes=6)
        await world.open()
        strategy = rng.choice(STRATEGIES)()
        least = strategy.least_replicas if isinstance(strategy, ABTesting) else 1
        await world.propose(DeployApp(spec("web", rng.randint(least, 9), cpu=rng.choice([0, 0.2]))))
        await world.propose(DeployApp(spec("other", 5)))
        await world.settle()
        bad = rng.choice([None, None, CRASHES, SICK, HANGS])
        if bad is not None:
            world.bad_images["new"] = bad
        print(strategy, bad)
        deployment_id = await _deploy(world, strategy)
        async with trio.open_nursery() as troubles:
            for _ in range(rng.randint(1, 8)):
                await trio.sleep(rng.expovariate(0.4))
                match rng.choice(["term", "term", "term", "node", "drain", "scale"]):
                    case "term":
                        world.raft.new_term()
                    case "node":
                        node = world.nodes[rng.choice(sorted(world.nodes)[1:])]
                        if node.answers:
                            node.stop(power=rng.random() < 0.5)
                            await trio.sleep(rng.uniform(0.5, 15))
                            await node.start()
                    case "drain":
                        name = rng.choice(sorted(world.nodes)[1:])
                        await world.propose(SetMaintenance(name, enable=True, drain=True))
                        await trio.sleep(rng.uniform(0.5, 15))
                        await world.propose(SetMaintenance(name, enable=False))
                    case "scale":
                        await world.propose(ScaleApp("web", rng.randint(1, 9)))
            troubles.cancel_scope.cancel()
        deployment = await _ended(world, deployment_id)
        await world.settle()
        fine = {"new", "new-b"} if isinstance(strategy, ABTesting) else {"new"}
        good = deployment.status is DeploymentStatus.COMPLETED
        assert _images(world) <= (fine if good else {"busybox"}), deployment
        assert len(_images(world)) == 1
        if bad is not None and not isinstance(strategy, ABTesting):
            assert not good
        nursery.cancel_scope.cancel()


def _watch(world: World) -> list[tuple[int, frozenset[str]]]:
    """How many replicas take traffic, and of which images, after each entry."""
    seen: list[tuple[int, frozenset[str]]] = []

    def note(apps: Set[str]) -> None:
        state = world.machine.state
        if "web" in apps:
            taking = [task for task in state.tasks_of_app("web") if state.takes_traffic(task)]
            seen.append((len(taking), frozenset(state.spec_of(task).image for task in taking)))

    world.machine.on_touch(note)
    return seen


async def _world(nursery: trio.Nursery, replicas: int = 6) -> World:
    world = World(random.Random(1), nursery, nodes=4)
    await world.open()
    await world.propose(DeployApp(spec("web", replicas)))
    await world.settle()
    return world


async def test_a_rolling_update_never_serves_less(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        seen = _watch(world)
        deployment = await _ended(world, await _deploy(world, RollingUpdate(max_surge=2)))
        assert deployment.status is DeploymentStatus.COMPLETED
        assert (deployment.step, deployment.total_steps) == (3, 3)
        await world.settle()
        assert min(count for count, _ in seen) == 6
        assert max(count for count, _ in seen) <= 8
        assert _images(world) == {"new"}
        history = world.machine.state.apps["web"].history
        assert [entry.number for entry in history] == [1, 2]
        nursery.cancel_scope.cancel()


async def test_a_stop_first_update_keeps_to_what_may_be_missing(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        seen = _watch(world)
        await _ended(world, await _deploy(world, RollingUpdate(max_unavailable=2, order="stop-first")))
        await world.settle()
        assert (min(count for count, _ in seen), max(count for count, _ in seen)) == (4, 6)
        assert _images(world) == {"new"}
        nursery.cancel_scope.cancel()


async def test_blue_green_switches_all_traffic_in_one_entry_and_back(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        seen = _watch(world)
        deployment_id = await _deploy(world, BlueGreen(keep_old="1h"))
        await _ended(world, deployment_id)
        assert set(seen) == {(6, frozenset({"busybox"})), (6, frozenset({"new"}))}
        assert _images(world) == {"busybox", "new"}
        seen.clear()
        await world.propose(RollbackDeployment(deployment_id))
        assert seen[0] == (6, frozenset({"busybox"}))
        deployment = await _ended(world, deployment_id)
        assert deployment.status is DeploymentStatus.ROLLED_BACK
        await world.settle()
        assert set(seen) == {(6, frozenset({"busybox"}))}
        assert _images(world) == {"busybox"}
        nursery.cancel_scope.cancel()


async def test_the_old_set_goes_when_it_was_kept_long_enough(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        await _ended(world, await _deploy(world, BlueGreen(keep_old="30s")))
        await trio.sleep(25)
        assert _images(world) == {"busybox", "new"}
        await trio.sleep(15)
        assert _images(world) == {"new"}
        await world.settle()
        nursery.cancel_scope.cancel()


async def test_simple_never_runs_both(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        both: list[set[str]] = []
        world.machine.on_touch(lambda _: both.append(_images(world)))
        await _ended(world, await _deploy(world, Simple()))
        await world.settle()
        assert max(map(len, both)) == 1
        assert _images(world) == {"new"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bad", [CRASHES, SICK])
@pytest.mark.parametrize("make", [RollingUpdate, BlueGreen, Canary], ids=lambda make: make.__name__)
async def test_a_bad_image_is_rolled_back_by_itself_and_nothing_is_missed(
    make: Callable[[], Strategy], bad: TaskStatus, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        world.bad_images["new"] = bad
        seen = _watch(world)
        deployment = await _ended(world, await _deploy(world, make()))
        assert deployment.status is DeploymentStatus.ROLLED_BACK
        assert "fail" in deployment.message
        await world.settle()
        assert min(count for count, _ in seen) == 6
        assert _images(world) == {"busybox"}
        assert len(world.machine.state.specs) == 1
        nursery.cancel_scope.cancel()


async def test_a_pause_waits_for_a_hand(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery)
        world.bad_images["new"] = SICK
        deployment_id = await _deploy(world, RollingUpdate(max_surge=1, on_failure="pause"))
        await trio.sleep(60)
        assert _of(world, deployment_id).status is DeploymentStatus.PAUSED
        assert _images(world) == {"busybox", "new"}
        outcome = await world.propose(CreateDeployment("web", Change(image="newer"), execute=True))
        assert isinstance(outcome, Refusal)
        assert deployment_id in outcome.message
        await world.propose(RollbackDeployment(deployment_id))
        await world.settle()
        assert _images(world) == {"busybox"}
        nursery.cancel_scope.cancel()


async def test_a_canary_goes_step_by_step_by_hand(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery, 10)
        strategy = Canary(percentage=10, steps=[10, 50], promotion="manual")
        deployment_id = await _deploy(world, strategy)
        for step, expected in ((1, 1), (2, 5), (3, 10)):
            await trio.sleep(100)
            deployment, state = _of(world, deployment_id), world.machine.state
            assert deployment.step == step
            new = [task for task in state.tasks_of_app("web") if state.spec_of(task).image == "new"]
            assert len(new) == expected
            if step < 3:
                await world.propose(PromoteDeployment(deployment_id))
        assert _of(world, deployment_id).status is DeploymentStatus.COMPLETED
        nursery.cancel_scope.cancel()


async def test_the_healthy_variant_wins(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery, 10)
        deployment_id = await _deploy(world, ABTesting(variants=VARIANTS, duration="60s"))
        await trio.sleep(30)
        state = world.machine.state
        images = [state.spec_of(task).image for task in state.tasks_of_app("web")]
        assert {image: images.count(image) for image in images} == {"busybox": 3, "new": 3, "new-b": 4}
        await _ended(world, deployment_id)
        await world.settle()
        assert _images(world) == {"new-b"}
        world.bad_images["new-b"] = SICK
        await _ended(world, await _deploy(world, ABTesting(variants=VARIANTS, duration="60s")))
        await world.settle()
        assert _images(world) == {"new"}
        nursery.cancel_scope.cancel()


async def test_replicas_of_the_new_spec_come_with_its_end(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = await _world(nursery, 3)
        command = CreateDeployment("web", Change(spec=spec("web", 7, env={"A": "1"})), execute=True)
        outcome = await world.propose(command)
        assert isinstance(outcome, Recorded)
        await _ended(world, outcome.deployment_id)
        await world.settle()
        app = world.machine.state.apps["web"]
        assert (app.spec.replicas, app.spec.env) == (7, {"A": "1"})
        # Alike but for the number: no replica is replaced.
        before = set(world.machine.state.tasks)
        await world.propose(CreateDeployment("web", Change(spec=spec("web", 8, env={"A": "1"})), execute=True))
        await world.settle()
        assert before < set(world.machine.state.tasks)
        nursery.cancel_scope.cancel()
