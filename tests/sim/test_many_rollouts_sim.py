"""Rollouts of several apps at once, by all strategies and by hand, beside losses of nodes, drains and changes of
leaders (issue 5, bars 4 and 5). A failure prints its seed.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.app_spec import AppSpec
from consensus.model.autoscale import Autoscale
from consensus.model.deployment import Change, Deployment, DeploymentStatus
from consensus.model.event import EventType
from consensus.model.hook import Hook, Hooks
from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Simple, Strategy, Variant
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.model.workload import Resources
from tests.consensus.making import spec
from tests.sim.orchestrator_world import World
from tests.sim.trouble import KINDS, Trouble

ONCE = "once"
"""The app of which nothing may run twice."""
APPS = [
    spec("web", 4, cpu=0.1),
    spec("api", 1, update_strategy=Canary(interval="5s", progress_deadline="60s")),
    spec("patient", 3, reschedule_after="15s"),
    spec("everywhere", mode="global"),
    spec(ONCE, 3, keep_lost=True),
    spec("busy", 2, autoscale=Autoscale(min=2, max=5, cpu_target=50, down_window="20s")),
]
PRIORITIES = {"api": "high-priority", "web": "low-priority", "patient": "low-priority"}
CROWDED = [
    replace(app, resources=Resources(cpu=1.2), priority_class=PRIORITIES.get(app.name), min_available=least)
    for app, least in zip(APPS[:5], (None, None, "50%", None, None), strict=True)
]
"""Five of them fill a node. When all is well there is room for all, and none for one more of each."""
BAD = {
    "crashes": TaskStatus(state=TaskState.FAILED, restart_count=2, message="exited with code 1"),
    "sick": TaskStatus(state=TaskState.RUNNING, health=Health.UNHEALTHY),
    "hangs": TaskStatus(state=TaskState.RUNNING, health=Health.STARTING),
}
TROUBLE = Trouble(
    times=50,
    per_s=0.25,
    changes=0.75,
    kinds=(*KINDS, "drain", "taint", "taint"),
    at_once=2,
    longest_s=30,
    longest_restart_s=70,
)
ENDS = {
    DeploymentStatus.COMPLETED: EventType.DEPLOYMENT_COMPLETED,
    DeploymentStatus.ROLLED_BACK: EventType.DEPLOYMENT_ROLLED_BACK,
}


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def _common(rng: random.Random) -> dict[str, Any]:
    hook = Hook(command="work", retries=rng.choice([0, 3]), timeout="60s")
    names = [name for name in ("pre", "post", "rollback") if rng.random() < 0.15]
    return {
        "progress_deadline": rng.choice(["30s", "60s"]),
        "on_failure": rng.choice([None, None, "pause", "continue", "rollback"]),
        "max_failure_ratio": rng.choice([None, None, 0.3]),
        "min_healthy": rng.choice([None, "3s"]),
        "hooks": Hooks(**dict.fromkeys(names, hook)) if names else None,
    }


def _rolling(rng: random.Random, **more: Any) -> RollingUpdate:
    return RollingUpdate(
        max_surge=rng.choice([None, 0, 1, "50%", "100%"]),
        max_unavailable=rng.choice([None, 1, "50%"]),
        batch_delay=rng.choice([None, "2s"]),
        monitor=rng.choice([None, 0, "5s"]),
        **more,
    )


def _strategy(rng: random.Random, app: str) -> Strategy:
    common = _common(rng)
    stops_first: list[Strategy] = [
        Simple(**common),
        RollingUpdate(**common),
        RollingUpdate(max_unavailable=2, order="stop-first", **common),
    ]
    if app == ONCE:
        return rng.choice(stops_first)
    patience = common.pop("progress_deadline")
    by = {"promotion": rng.choice([None, "health", "manual"])}
    variants = [Variant(image=rng.choice(["v-a", *BAD]), percentage=30), Variant(image="v-b", percentage=30)]
    others: list[Strategy] = [
        _rolling(rng, progress_deadline=patience, order=rng.choice([None, "start-first", "stop-first"]), **common),
        BlueGreen(verification_timeout=patience, keep_old=rng.choice([0, "20s"]), **by, **common),
        Canary(steps=rng.choice([[20, 60], 3, None]), interval="5s", progress_deadline=patience, **by, **common),
        ABTesting(variants=variants, duration="10s", progress_deadline=patience, **common),
    ]
    return rng.choice([*stops_first, *others, *others])


class Watch:
    """What may never be, noted after each entry."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[str, Deployment] = {}
        self.wrong: list[str] = []
        self.told: Counter[tuple[str, str]] = Counter()
        self._position = world.machine.events.before_oldest
        world.machine.on_answer(lambda *_: self.look())

    def look(self) -> None:
        self.wrong += self.world.overfull()
        for deployment in self.world.machine.state.deployments.values():
            before = self.seen.get(deployment.id)
            if before is not deployment:
                self._compare(before, deployment)
                self.seen[deployment.id] = deployment
        self._look_for_twins()
        events = self.world.machine.events.after(self._position)
        assert isinstance(events, list)
        for event in events:
            self._position = event.position
            if event.type.startswith("deployment_"):
                self.told[event.data["id"], event.type] += 1

    def untold(self) -> list[str]:
        """Deployments of which the events do not tell the beginning and the end, each once."""
        found = []
        for deployment in self.world.machine.state.deployments.values():
            begun = self.told[deployment.id, EventType.DEPLOYMENT_STARTED]
            if begun != (deployment.started_at_s is not None):
                found.append(f"{deployment.id} began, told {begun} times")
            end = ENDS.get(deployment.status)
            if end is not None and self.told[deployment.id, end] != 1:
                found.append(f"{deployment.id} is {deployment.status}, told {self.told[deployment.id, end]} times")
        return found

    def _compare(self, before: Deployment | None, deployment: Deployment) -> None:
        if deployment.step > deployment.total_steps:
            self.wrong.append(f"{deployment.id} is at step {deployment.step} of {deployment.total_steps}")
        if before is None or before.started_at_s is None:
            return
        if (before.step, before.total_steps) > (deployment.step, deployment.total_steps):
            self.wrong.append(f"{deployment.id} went back to step {deployment.step} of {deployment.total_steps}")

    def _look_for_twins(self) -> None:
        slots: Counter[tuple[int, str]] = Counter()
        for node in self.world.nodes.values():
            for task_id, status in node.containers.items():
                app, slot, _ = task_id.split(".")
                if app == ONCE and status.state is TaskState.RUNNING:
                    slots[int(slot), app] += 1
        self.wrong += [f"slot {slot} of {app} runs {count} times" for (slot, app), count in slots.items() if count > 1]


async def _change(world: World, apps: list[AppSpec]) -> None:
    rng, state = world.rng, world.machine.state
    app = rng.choice(sorted(state.apps))
    mine = [one for one in state.deployments.values() if one.app == app]
    kinds = ["deploy", "deploy", "deploy", "scale", "load", "restart", "promote", "back", "put", "term", "renew"]
    match rng.choice(kinds):
        case "deploy":
            image = rng.choice(["v1", "v2", "v3", *BAD])
            replicas = rng.choice([None, None, 2, 5])
            await world.propose(
                c.CreateDeployment(
                    app, Change(image=image, replicas=replicas), _strategy(rng, app), execute=rng.random() < 0.9
                )
            )
        case "put":
            labels = {"n": str(rng.randint(1, 3))} if rng.random() < 0.5 else {}
            new = replace(state.apps[app].spec, replicas=rng.randint(0, 5), labels=labels)
            if not new.is_global:
                await world.propose(c.CreateDeployment(app, Change(spec=new), execute=True))
        case "scale":
            await world.propose(c.ScaleApp(app, rng.randint(0, 6)))
        case "load":
            world.load.cores["busy"] = rng.uniform(0, 3)
        case "restart":
            await world.propose(c.RestartApp(app))
        case "promote" if mine:
            await world.propose(c.PromoteDeployment(rng.choice(mine).id, rng.choice([None, None, "a"])))
        case "back" if mine:
            await world.propose(c.RollbackDeployment(rng.choice(mine).id))
        # Who deletes an app has given up what may run of it on a lost node.
        case "renew" if app != ONCE and rng.random() < 0.3:
            await world.propose(c.DeleteApp(app))
            await world.propose(c.DeployApp(next(one for one in apps if one.name == app)))
        case _:
            world.raft.new_term()


async def _end_all(world: World) -> None:
    """What waits for a hand gets it; then every app is mended."""
    deadline_s = trio.current_time() + 1500
    while active := [one for one in world.machine.state.deployments.values() if one.status.active]:
        assert trio.current_time() < deadline_s, active
        for deployment in active:
            if deployment.status is DeploymentStatus.PAUSED:
                await world.propose(c.RollbackDeployment(deployment.id))
            elif deployment.status is DeploymentStatus.IN_PROGRESS and deployment.strategy.manual:
                await world.propose(c.PromoteDeployment(deployment.id))
        await trio.sleep(5)
    mend = RollingUpdate(on_failure="continue", progress_deadline="60s")
    for app in sorted(world.machine.state.apps):
        await world.propose(c.CreateDeployment(app, Change(image="good"), mend, execute=True))


@pytest.mark.parametrize(
    ("apps", "seed"),
    [
        *(pytest.param(APPS, seed, id=f"{seed}") for seed in range(3)),
        *(pytest.param(APPS, seed, id=f"{seed}", marks=pytest.mark.soak) for seed in range(3, 60)),
        pytest.param(CROWDED, 0, id="crowded-0"),
        *(pytest.param(CROWDED, seed, id=f"crowded-{seed}", marks=pytest.mark.soak) for seed in range(1, 60)),
    ],
)
async def test_all_rollouts_end_and_nothing_is_lost_or_doubled(
    apps: list[AppSpec], seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with trio.open_nursery() as nursery:
        world = World(rng, nursery, nodes=6)
        world.bad_images.update(BAD)
        await world.open()
        watch = Watch(world)
        for app in apps:
            await world.propose(c.DeployApp(app))
        await world.settle()
        await TROUBLE.run(world, lambda _: _change(world, apps))
        await _end_all(world)
        await world.settle(timeout_s=1500)
        state = world.machine.state
        assert not watch.wrong, watch.wrong[:3]
        assert not watch.untold(), watch.untold()[:3]
        images = {app: {state.spec_of(task).image for task in state.tasks_of_app(app)} for app in state.apps}
        assert set().union(*images.values()) <= {"good"}, images
        nursery.cancel_scope.cancel()
