"""Autoscaling with the real orchestrator, under virtual time: it follows the work, comes to rest, and survives a leader
change and a lost node."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from consensus.commands import DeployApp
from consensus.model.autoscale import Autoscale
from tests.consensus.making import spec
from tests.sim.orchestrator_world import World


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.mark.parametrize("seed", [7, pytest.param(8, marks=pytest.mark.soak)])
async def test_the_number_follows_the_work_and_comes_to_rest(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    print(f"seed {seed}")
    rule = Autoscale(min=2, max=12, cpu_target=50, down_window="30s")
    async with trio.open_nursery() as nursery:
        world = World(random.Random(seed), nursery, nodes=4)
        await world.open()
        await world.propose(DeployApp(spec("web", 2, autoscale=rule)))

        def replicas() -> int:
            return world.machine.state.apps["web"].spec.replicas

        await world.settle()
        for work, wanted in ((3.9, 8), (1.2, 3), (20.0, 12), (0.0, 2)):
            world.load.cores["web"] = work
            await trio.sleep(200)
            assert abs(replicas() - wanted) <= (work not in (0.0, 20.0)), (work, replicas())
            before, index = replicas(), world.machine.index
            await trio.sleep(600)
            assert (replicas(), world.machine.index) == (before, index), "it rests"
            await world.settle()
        world.load.cores["web"] = 2.0
        world.raft.new_term()
        await trio.sleep(120)
        assert replicas() == 4
        world.nodes["n3"].stop(power=True)
        await trio.sleep(300)
        assert replicas() == 4
        assert len([task for task in world.machine.state.tasks_of_app("web") if task.serving]) == 4
        nursery.cancel_scope.cancel()
