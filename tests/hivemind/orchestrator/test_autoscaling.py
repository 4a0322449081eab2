"""Autoscaling: Kubernetes' rule (horizontal pod autoscaler, "Algorithm details"), and what is ours around it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import commands as c
from consensus.events import Gap
from consensus.model.app_spec import AppSpec
from consensus.model.autoscale import Autoscale
from consensus.model.deployment import Change
from consensus.model.event import EventType
from consensus.model.task import Task
from consensus.outcomes import Refusal, RefusalCode
from hivemind.orchestrator import placement, rollout
from hivemind.orchestrator.autoscaling import Autoscaling, Call, replicas_for, stabilised
from hivemind.orchestrator.cpu_use import FRESH_S, CpuUse
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from runtime.engine.base import CpuTime
from tests.consensus.making import Feed, running, spec

RULE = Autoscale(min=1, max=1000, cpu_target=50)
TARGET = 0.5
replicas = st.integers(1, 200)
cores = st.floats(0, 400)


@given(replicas, cores)
def test_with_all_measured_it_is_kubernetes_formula(count: int, used: float) -> None:
    ratio = used / (TARGET * count)
    wanted = count if abs(ratio - 1) <= 0.1 else math.ceil(count * ratio - 1e-6)
    assert replicas_for(RULE, TARGET, count, count, used) == max(1, min(1000, wanted, max(2 * count, count + 4)))


@given(replicas, st.integers(0, 200), cores)
def test_what_is_not_measured_never_makes_the_number_change(count: int, measured: int, used: float) -> None:
    """Whatever they use between nothing and their target, the number is not further off than if it were known."""
    measured = min(measured, count)
    found = replicas_for(RULE, TARGET, count, measured, used)
    missing = count - measured
    if found > count:
        assert used > TARGET * count
        assert found <= math.ceil(used / TARGET)
    if found < count:
        assert used + missing * TARGET < TARGET * count
        assert found >= missing


@given(replicas, cores, cores)
def test_more_use_never_calls_for_fewer(count: int, one: float, more: float) -> None:
    low, high = sorted((one, one + more))
    assert replicas_for(RULE, TARGET, count, count, low) <= replicas_for(RULE, TARGET, count, count, high)


@given(replicas, cores)
def test_a_steady_load_is_followed_and_then_left_alone(count: int, used: float) -> None:
    """The number comes to rest, and there each replica is near its target."""
    for _ in range(12):
        count = replicas_for(RULE, TARGET, count, count, used)
    assert replicas_for(RULE, TARGET, count, count, used) == count
    assert used <= TARGET * count * 1.1 + 1e-9 or count == 1000
    assert used > TARGET * (count - 1) * 0.9 - 1e-9 or count == 1


@given(st.integers(1, 20), st.integers(0, 20), replicas, cores)
def test_the_bounds_hold(low: int, more: int, count: int, used: float) -> None:
    rule = Autoscale(min=low, max=low + more, cpu_target=50)
    assert low <= replicas_for(rule, TARGET, count, count, used) <= low + more


@given(
    st.lists(st.tuples(st.floats(0, 600), st.integers(1, 50)), min_size=1, max_size=20),
    st.integers(1, 50),
    st.floats(0, 300),
    st.floats(0, 300),
)
def test_the_number_moves_only_as_far_as_the_whole_window_agrees(
    told: list[tuple[float, int]], count: int, up_s: float, down_s: float
) -> None:
    calls = [Call(at_s, number) for at_s, number in sorted(told)]
    now_s = calls[-1].at_s
    rule = Autoscale(min=1, max=50, cpu_target=50, up_window=up_s, down_window=down_s)
    found = stabilised(calls, count, rule, now_s)
    in_up = [call.replicas for call in calls if call.at_s > now_s - up_s] or [calls[-1].replicas]
    in_down = [call.replicas for call in calls if call.at_s > now_s - down_s] or [calls[-1].replicas]
    if found > count:
        assert found <= min(in_up)
    if found < count:
        assert found >= max(in_down)


# -- readings


def test_use_is_averaged_over_the_window_and_forgotten_when_stale() -> None:
    use = CpuUse()
    for second in range(40):
        # Idle for 20 s, then one core.
        use.note({"a": CpuTime(1e9 + second, max(0.0, second - 20.0))}, float(second))
    assert use.cores(["a", "b"], 39.0) == {"a": pytest.approx(1.0)}
    assert use.cores(["a"], 39.0 + FRESH_S + 1) == {}
    use.note({"a": CpuTime(1e9 + 41, 0.5)}, 41.0)
    assert use.cores(["a"], 41.0) == {}, "started again, it counts from nothing"
    use.note({"a": CpuTime(1e9 + 43, 1.5)}, 43.0)
    assert use.cores(["a"], 43.0) == {"a": pytest.approx(0.5)}
    use.keep_only(set())
    assert use.cores(["a"], 43.0) == {}


def test_work_that_went_to_a_newcomer_does_not_count_twice() -> None:
    use = CpuUse()
    for second in range(13):
        times = {"old": CpuTime(float(second), second - max(0, second - 10) / 2)}
        if second >= 10:
            times["new"] = CpuTime(500.0 + second, (second - 10) / 2)
        use.note(times, float(second))
    assert use.cores(["old", "new"], 12.0) == {"old": pytest.approx(0.5), "new": pytest.approx(0.5)}


# -- the whole


class Watch:
    """An app, and one leader's look at it every two seconds."""

    def __init__(self, **autoscale: object) -> None:
        self.feed = Feed()
        self.feed.add_nodes(3)
        self.feed.accepted(c.DeployApp(app(**autoscale)))
        self.settle()
        self.now_s = 0.0
        self.used_s: dict[str, float] = {}
        self.elect()

    def elect(self) -> None:
        """Another leader looks from now on."""
        self.autoscaling = Autoscaling()
        self.autoscaling.touched(["web"])

    @property
    def replicas(self) -> int:
        return self.feed.state.apps["web"].spec.replicas

    def settle(self) -> None:
        self.feed.accepted(*placement.plan(self.feed.state, Surroundings()))
        new = [task.id for task in self.tasks() if not task.serving]
        self.feed.report(running(), *new)

    def tasks(self) -> list[Task]:
        return [task for task in self.feed.tasks() if task.wanted]

    def run(self, seconds: float, total: float, *, measured: bool = True) -> list[int]:
        """With `total` cores of work, shared by the replicas. The numbers that were decided."""
        decided = []
        for _ in range(int(seconds / 2)):
            self.now_s += 2
            tasks = self.tasks()
            for task in tasks:
                self.used_s[task.id] = self.used_s.get(task.id, 0.0) + 2 * total / len(tasks)
            if measured:
                readings = {task.id: CpuTime(self.now_s, self.used_s[task.id]) for task in tasks}
                self.autoscaling.use.note(readings, self.now_s)
            self.autoscaling.look(self.feed.state, self.now_s)
            for command in self.autoscaling.plan(self.feed.state, self.now_s):
                self.feed.accepted(command)
                assert not self.autoscaling.plan(self.feed.state, self.now_s)
                decided.append(command.replicas)
                self.settle()
        return decided


def app(replicas: int = 2, **autoscale: object) -> AppSpec:
    rule = Autoscale(**{"min": 2, "max": 8, "cpu_target": 50, **autoscale})  # type: ignore[arg-type]
    return spec("web", replicas, cpu=0.1, autoscale=rule)


def test_the_number_follows_the_work_up_at_once_and_down_after_the_window() -> None:
    watch = Watch(down_window="60s")
    assert watch.run(60, 0.1) == []
    # 0.3 cores of work, 0.05 each is the target; the mean of the last readings rises over 15 s.
    decided = watch.run(40, 0.3)
    assert decided == sorted(decided)
    assert watch.replicas == 6
    assert watch.run(58, 0.1) == []
    watch.run(60, 0.1)
    assert watch.replicas == 2
    last = watch.feed.state.apps["web"].autoscaled
    assert last is not None
    assert (last.replicas, last.reason.endswith("the target is 0.05 each")) == (2, True)


def test_a_peak_shorter_than_the_window_changes_nothing() -> None:
    watch = Watch(up_window="60s")
    watch.run(20, 0.1)
    assert watch.run(30, 0.4) == []
    assert watch.run(100, 0.1) == []
    watch.run(150, 0.4)
    assert watch.replicas == 8


def test_nothing_changes_without_measures() -> None:
    """Also not when the window is over: what was called for last is no longer known to hold."""
    watch = Watch(up_window="40s", down_window="10s")
    watch.run(20, 0.1)
    watch.run(20, 0.4)
    assert watch.run(300, 0.4, measured=False) == []
    assert watch.replicas == 2


def test_a_new_leader_lets_nothing_fall_before_its_own_window_is_over() -> None:
    watch = Watch(down_window="60s")
    watch.run(30, 0.3)
    assert watch.replicas == 6
    watch.run(50, 0.1)
    watch.elect()
    assert watch.run(60, 0.1) == []
    watch.run(20, 0.1)
    assert watch.replicas == 2


def test_a_number_given_by_hand_holds_until_the_window_is_over() -> None:
    watch = Watch(down_window="60s")
    watch.run(100, 0.1)
    watch.feed.accepted(c.ScaleApp("web", 7))
    watch.settle()
    assert watch.run(56, 0.1) == []
    watch.run(20, 0.1)
    assert watch.replicas == 2


def test_a_scale_out_of_bounds_is_refused_and_a_stale_decision_too() -> None:
    watch = Watch()
    for number in (0, 1, 9):
        refusal = watch.feed(c.ScaleApp("web", number))
        assert isinstance(refusal, Refusal)
        assert refusal.code is RefusalCode.CONFLICT
        assert refusal.message == (f"replicas: expected 2 to 8, the bounds of autoscale of app 'web', got {number}")
    assert isinstance(watch.feed(c.CreateDeployment("web", Change(replicas=9))), Refusal)
    assert isinstance(watch.feed(c.ScaleApp("web", 4, "busy", previous=3)), Refusal)
    watch.feed.accepted(c.ScaleApp("web", 4, "busy", previous=2))
    events = watch.feed.machine.events.after(watch.feed.machine.events.before_oldest)
    assert not isinstance(events, Gap)
    scaled = [event.data for event in events if event.type is EventType.APP_SCALED]
    assert [(data["previous_replicas"], data["replicas"], data["reason"]) for data in scaled] == [(2, 4, "busy")]


def test_an_update_keeps_the_number_that_the_use_has_decided_within_the_new_bounds() -> None:
    watch = Watch()
    watch.run(40, 0.3)
    assert watch.replicas == 6
    tasks = [task.id for task in watch.tasks()]

    def update(replicas: int, **autoscale: object) -> None:
        change = Change(spec=app(replicas, **autoscale))
        watch.feed.accepted(c.CreateDeployment("web", change, execute=True))
        state = watch.feed.state
        for _ in range(3):
            watch.feed.accepted(*rollout.plan(state, 1e6))
            state = watch.feed.state

    update(2, max=10)
    assert watch.replicas == 6
    assert [task.id for task in watch.tasks()] == tasks, "the rule is not the replicas' matter"
    update(2, max=4)
    assert watch.replicas == 4
    assert watch.feed.state.apps["web"].spec.autoscale == Autoscale(min=2, max=4, cpu_target=50)


def test_a_deploy_begins_within_the_bounds() -> None:
    feed = Feed()
    feed.accepted(c.DeployApp(app(1)))
    assert (feed.state.apps["web"].spec.replicas, len(feed.tasks())) == (2, 2)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"autoscale": Autoscale(min=3, max=2, cpu_target=50)}, "autoscale.max"),
        ({"autoscale": Autoscale(min=1, max=2, cpu_target=50, up_window="soon")}, "autoscale.up_window"),
        ({"autoscale": RULE, "mode": "global"}, "autoscale"),
        ({"replicas": 3, "mode": "global"}, "replicas"),
    ],
)
def test_bad_rules_are_refused_by_their_field(more: dict[str, Any], path: str) -> None:
    assert [name for name, _ in AppSpec(name="web", image="i", **more).problems()] == [path]
