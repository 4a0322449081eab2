"""The pure task machine: design.md §2.5, and the task model's rule that states never go backwards."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consensus.model.app_spec import AppSpec
from consensus.model.health_check import HealthCheck
from consensus.model.task import DesiredState, Health, Task, TaskState, TaskStatus
from runtime.engine.base import ContainerState
from runtime.health.plan import plan_of_check
from runtime.task_effects import (
    Cancel,
    Create,
    Effect,
    EnsureImage,
    Forget,
    Inspect,
    Operation,
    Remove,
    Report,
    ReportRemoved,
    RetryAt,
    Start,
    StartProbes,
    Stop,
    StopProbes,
)
from runtime.task_inputs import (
    Cancelled,
    Desired,
    Due,
    Failed,
    Gone,
    Input,
    Permitted,
    Probed,
    Progressed,
    Seen,
    Signalled,
    Succeeded,
)
from runtime.task_machine import RETRY_LAST_S, TaskMachine

SPEC = AppSpec(name="web", image="busybox:local", stop_grace_period="3s")
CHECK = HealthCheck(command="true")
CHECKED = AppSpec(name="web", image="busybox:local", health_check=CHECK)
TASK = Task(
    id="web.1.aa",
    app="web",
    slot=1,
    revision=1,
    generation=1,
    created_at_s=0.0,
    node_id="n1",
    status=TaskStatus(state=TaskState.ASSIGNED),
)
E = TypeVar("E")


def container(status: Any = "running", **more: Any) -> ContainerState:
    values: dict[str, Any] = {
        "engine_id": "c1",
        "name": "hivemind-web.1.aa",
        "image": "busybox:local",
        "labels": {},
        "created_at_s": 1.0,
        "started_at_s": 100.0,
        "address": "172.17.0.2",
        "port_map": {80: 80},
    }
    return ContainerState(status=status, **{**values, **more})


def died(exit_code: int = 1, ran_s: float = 1.0, **more: Any) -> ContainerState:
    return container("exited", exit_code=exit_code, finished_at_s=100.0 + ran_s, **more)


class Bench:
    """A machine, its clock, and the effects so far."""

    def __init__(self, spec: AppSpec = SPEC, status: TaskStatus | None = None) -> None:
        self.machine = TaskMachine(TASK.id)
        self.task = TASK if status is None else replace(TASK, status=status)
        self.spec = spec
        self.now_s = 1000.0
        self.effects: list[Effect] = []

    def give(self, *items: Input) -> list[Effect]:
        self.effects = [effect for item in items for effect in self.machine.handle(item, self.now_s)]
        return self.effects

    def desire(self) -> list[Effect]:
        return self.give(Desired(self.task, self.spec))

    def only(self, kind: type[E]) -> E:
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        assert len(found) == 1, self.effects
        return found[0]

    def none(self, *kinds: type[Any]) -> None:
        assert not [effect for effect in self.effects if isinstance(effect, kinds)], self.effects

    def running(self, seen: ContainerState | None = None) -> None:
        """From nothing to a running container."""
        self.give(Permitted(True, True), Desired(self.task, self.spec), Seen(None))
        self.give(Succeeded(self.only(EnsureImage).number, image_id="sha256:1"))
        self.give(Succeeded(self.only(Create).number, container("created", started_at_s=None, address=None)))
        self.give(Succeeded(self.only(Start).number, seen or container()))

    def later(self) -> list[Effect]:
        self.now_s = self.only(RetryAt).at_s
        return self.give(Due())

    @property
    def status(self) -> TaskStatus:
        return self.machine.status


def test_a_new_task_is_pulled_created_started_and_reported() -> None:
    bench = Bench()
    bench.running()
    assert bench.status == TaskStatus(
        state=TaskState.RUNNING,
        health=Health.HEALTHY,
        engine_id="c1",
        image_id="sha256:1",
        ip_address="172.17.0.2",
        port_map={80: 80},
        started_at_s=100.0,
    )
    assert bench.only(Report).status == bench.status


def test_nothing_happens_before_the_engine_has_told_and_starting_is_permitted() -> None:
    bench = Bench()
    bench.desire()
    bench.none(Operation)  # type: ignore[arg-type]
    bench.give(Permitted(True, True))
    assert bench.effects == []
    bench = Bench()
    bench.give(Desired(TASK, SPEC), Seen(None))
    assert bench.effects == []
    bench.give(Permitted(True, False))
    bench.only(EnsureImage)


def test_a_running_container_is_adopted_as_the_run_that_it_was() -> None:
    status = TaskStatus(
        state=TaskState.RUNNING,
        restart_count=4,
        health=Health.UNHEALTHY,
        engine_id="c1",
        ip_address="172.17.0.2",
        port_map={80: 80},
        started_at_s=100.0,
    )
    bench = Bench(CHECKED, status)
    bench.give(Desired(bench.task, CHECKED), Seen(container()))
    plan = plan_of_check(CHECK, CHECKED, container())
    assert bench.effects == [StartProbes(4, plan, Health.UNHEALTHY)]
    assert bench.status == status


def test_a_container_that_was_started_anew_while_we_were_away_is_a_new_run() -> None:
    status = TaskStatus(state=TaskState.RUNNING, restart_count=4, engine_id="c1", started_at_s=50.0)
    bench = Bench(status=status)
    bench.give(Desired(bench.task, SPEC), Seen(container()))
    assert (bench.status.restart_count, bench.status.started_at_s) == (5, 100.0)


def test_a_container_that_ended_while_we_were_away_is_told_and_started_when_permitted() -> None:
    status = TaskStatus(state=TaskState.RUNNING, engine_id="c1", started_at_s=100.0)
    bench = Bench(status=status)
    bench.give(Desired(bench.task, SPEC), Seen(died(137)))
    assert (bench.status.state, bench.status.exit_code) == (TaskState.FAILED, 137)
    bench.later()
    bench.none(Start, Report)
    bench.give(Permitted(True, False))
    assert bench.only(Start).engine_id == "c1"
    assert bench.status.restart_count == 1


@pytest.mark.parametrize(("exit_code", "state"), [(0, TaskState.COMPLETED), (3, TaskState.FAILED)])
def test_what_ends_is_told_and_restarted_in_the_same_container(exit_code: int, state: TaskState) -> None:
    bench = Bench()
    bench.running()
    bench.give(Signalled("c1", "die"))
    bench.give(Succeeded(bench.only(Inspect).number, died(exit_code)))
    assert bench.status.state is state
    assert bench.status.message == f"exited with code {exit_code}"
    assert bench.status.health is (Health.FAILED if exit_code else Health.UNKNOWN)
    bench.only(StopProbes)
    assert bench.only(RetryAt).at_s == pytest.approx(bench.now_s + 0.1)
    bench.later()
    assert bench.only(Start).engine_id == "c1"
    bench.give(Succeeded(bench.only(Start).number, container(started_at_s=200.0)))
    assert (bench.status.state, bench.status.restart_count) == (TaskState.RUNNING, 1)
    assert (bench.status.message, bench.status.exit_code) == ("", None)


def test_what_ended_before_it_was_seen_to_run_has_been_started() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, SPEC), Seen(None))
    bench.give(Succeeded(bench.only(EnsureImage).number, image_id="i"))
    bench.give(Succeeded(bench.only(Create).number, container("created")))
    bench.give(Succeeded(bench.only(Start).number, died(7)))
    assert (bench.status.state, bench.status.exit_code) == (TaskState.FAILED, 7)
    assert bench.status.started_at_s == died(7).started_at_s


def _crash(bench: Bench, ran_s: float = 0.01) -> float:
    bench.give(Signalled("c1", "die"))
    bench.give(Succeeded(bench.only(Inspect).number, died(ran_s=ran_s)))
    pause_s = bench.only(RetryAt).at_s - bench.now_s
    bench.later()
    bench.give(Succeeded(bench.only(Start).number, container(started_at_s=bench.now_s)))
    return pause_s


def test_pauses_double_to_a_minute_and_start_anew_after_a_steady_run() -> None:
    bench = Bench()
    bench.running()
    pauses = [_crash(bench) for _ in range(12)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == pytest.approx(RETRY_LAST_S)
    assert bench.status.restart_count == 12
    assert _crash(bench, ran_s=11.0) == pytest.approx(0.1)


def test_a_failed_pull_is_told_in_the_engines_words_once_and_tried_again() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, SPEC), Seen(None))
    bench.give(Progressed(bench.only(EnsureImage).number, "pulling 10 of 20 MiB"))
    assert bench.status.message == "pulling 10 of 20 MiB"
    for attempt in range(3):
        number = bench.machine.operations
        bench.give(Failed(number, "cannot pull busybox:local: no such host"))
        assert bench.status.state is TaskState.FAILED
        assert bench.status.message == "cannot pull busybox:local: no such host"
        assert len([e for e in bench.effects if isinstance(e, Report)]) == (1 if attempt == 0 else 0)
        bench.later()
        bench.only(EnsureImage)
    assert bench.status.restart_count == 0
    bench.give(Succeeded(bench.machine.operations, image_id="i"))
    assert (bench.status.state, bench.status.restart_count) == (TaskState.STARTING, 1)
    bench.only(Create)


def test_an_engine_that_does_not_answer_changes_the_message_not_the_state() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, SPEC), Seen(None))
    bench.give(Failed(bench.machine.operations, "no answer", not_now=True))
    assert (bench.status.state, bench.status.message) == (TaskState.PREPARING, "no answer")
    bench.later()
    bench.only(EnsureImage)
    bench = Bench()
    bench.running()
    bench.give(Signalled("c1", "die"))
    bench.give(Failed(bench.only(Inspect).number, "no answer", not_now=True))
    bench.none(Inspect)
    assert bench.status.state is TaskState.RUNNING
    bench.later()
    bench.give(Succeeded(bench.only(Inspect).number, container()))
    assert (bench.status.message, bench.status.restart_count) == ("", 0)


def test_a_start_that_fails_is_a_run_that_failed() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, SPEC), Seen(container("created", started_at_s=None)))
    bench.give(Failed(bench.only(Start).number, "exec: nosuch: not found"))
    assert (bench.status.state, bench.status.message) == (TaskState.FAILED, "exec: nosuch: not found")
    bench.later()
    bench.only(Start)
    assert bench.status.restart_count == 1


def test_a_container_that_somebody_removed_is_made_anew() -> None:
    bench = Bench()
    bench.running()
    bench.give(Signalled("c1", "destroy"))
    assert bench.status.state is TaskState.FAILED
    bench.later()
    bench.only(Create)


def test_a_retired_task_is_stopped_removed_and_told() -> None:
    bench = Bench()
    bench.running()
    bench.task = replace(bench.task, desired_state=DesiredState.REMOVED)
    bench.desire()
    assert bench.only(Stop) == Stop(bench.machine.operations, "c1", 3.0)
    assert bench.status.state is TaskState.STOPPING
    bench.give(Signalled("c1", "die"))
    assert bench.effects == []
    bench.give(Succeeded(bench.machine.operations))
    assert bench.status.state is TaskState.STOPPED
    bench.give(Succeeded(bench.only(Remove).number))
    assert bench.effects == [ReportRemoved()]
    bench.desire()
    assert bench.effects == []
    bench.give(Gone())
    assert bench.effects == [Forget()]


def test_a_serving_task_with_ports_drains_before_it_is_stopped() -> None:
    bench = Bench(AppSpec(name="web", image="busybox:local", drain_timeout="5s"))
    bench.running()
    bench.task = replace(bench.task, desired_state=DesiredState.REMOVED)
    bench.desire()
    bench.none(Stop)
    assert bench.only(RetryAt).at_s == bench.now_s + 5
    bench.now_s += 4.9
    bench.give(Due())
    bench.none(Stop)
    bench.now_s += 0.2
    bench.give(Due())
    bench.only(Stop)


def test_a_draining_task_that_ends_is_removed_at_once() -> None:
    bench = Bench(AppSpec(name="web", image="busybox:local", drain_timeout="5s"))
    bench.running()
    bench.task = replace(bench.task, desired_state=DesiredState.REMOVED)
    bench.desire()
    bench.give(Seen(died(0)))
    bench.only(Remove)


def test_what_must_not_run_twice_does_not_start_without_a_leader() -> None:
    bench = Bench(AppSpec(name="db", image="busybox:local", keep_lost=True))
    bench.give(Permitted(start=True, remove=False), Desired(bench.task, bench.spec), Seen(None))
    bench.none(EnsureImage, Create)
    bench.give(Permitted(start=True, remove=True))
    bench.only(EnsureImage)


def test_removal_does_not_wait_for_a_restarts_pause() -> None:
    bench = Bench()
    bench.running()
    bench.give(Signalled("c1", "die"))
    bench.give(Succeeded(bench.only(Inspect).number, died()))
    bench.give(Gone())
    bench.only(Remove)


def test_a_pull_is_given_up_when_the_task_is_no_longer_wanted() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, SPEC), Seen(None))
    number = bench.only(EnsureImage).number
    bench.give(Desired(replace(TASK, desired_state=DesiredState.REMOVED), SPEC))
    assert bench.effects == [Cancel(number)]
    bench.give(Cancelled(number))
    assert bench.effects == [ReportRemoved()]


def test_what_the_replica_does_not_have_is_removed_only_when_permitted() -> None:
    bench = Bench()
    bench.give(Seen(container()), Permitted(True, False))
    assert bench.effects == []
    bench.give(Permitted(True, True))
    assert bench.only(Stop).grace_s is None


def test_probes_speak_for_their_run_only() -> None:
    bench = Bench(CHECKED)
    bench.running()
    assert bench.status.health is Health.STARTING
    bench.give(Probed(1, Health.HEALTHY))
    assert bench.status.health is Health.STARTING
    bench.give(Probed(0, Health.HEALTHY))
    assert bench.status.health is Health.HEALTHY


def test_a_report_of_an_earlier_daemon_that_was_applied_late_is_outdone_by_a_new_run() -> None:
    bench = Bench()
    bench.running()
    late = TaskStatus(state=TaskState.FAILED, restart_count=0)
    bench.give(Desired(replace(TASK, status=late), SPEC))
    assert (bench.status.state, bench.status.restart_count) == (TaskState.RUNNING, 1)
    assert bench.only(Report).status.follows(late)


def test_a_replica_that_replays_its_log_after_a_restart_does_not_make_runs_or_change_health() -> None:
    """Race: the container runs its fourth run, and the replica tells its history again from the first word on."""
    bench = Bench(CHECKED)
    now = TaskStatus(
        state=TaskState.RUNNING,
        restart_count=3,
        health=Health.HEALTHY,
        engine_id="c1",
        ip_address="172.17.0.2",
        port_map={80: 80},
        started_at_s=100.0,
    )
    bench.give(Seen(container()))
    for status in (
        TASK.status,
        TaskStatus(state=TaskState.RUNNING, started_at_s=50.0, health=Health.HEALTHY),
        TaskStatus(state=TaskState.FAILED, restart_count=2),
        replace(now, health=Health.STARTING),
        now,
    ):
        bench.give(Desired(replace(TASK, status=status), CHECKED))
        bench.none(Report)
    bench.give(Permitted(True, True))
    assert bench.effects == []
    assert bench.status == now


_STATES = st.sampled_from([None, container("created", started_at_s=None), container(), died(0), died(2)])
_RETIRED = replace(TASK, desired_state=DesiredState.REMOVED)
_INPUTS = st.one_of(
    st.sampled_from([Desired(TASK, SPEC), Desired(_RETIRED, SPEC), Gone(), Due()]),
    st.sampled_from([Signalled("c1", action) for action in ("start", "die", "destroy", "oom", "pause")]),
    st.builds(Seen, _STATES),
    st.sampled_from([Permitted(True, True), Permitted(False, False), Permitted(True, False)]),
    st.builds(Probed, st.integers(0, 2), st.sampled_from(Health)),
    st.tuples(st.just("ok"), _STATES),
    st.tuples(st.just("fail"), st.booleans(), st.booleans()),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(_INPUTS, max_size=40), st.sampled_from([TASK, replace(TASK, status=TaskStatus(state=TaskState.FAILED))])
)
def test_whatever_comes_it_keeps_its_promises(items: list[Any], task: Task) -> None:
    """Never backwards, at most one operation outstanding, and quiet once nothing is wanted and nothing is left."""
    machine = TaskMachine(TASK.id)
    now_s = 0.0
    outstanding: Operation | None = None
    last: TaskStatus | None = None

    def give(item: Input) -> None:
        nonlocal outstanding, last
        if isinstance(item, Succeeded | Failed | Cancelled):
            outstanding = None
        for effect in machine.handle(item, now_s):
            if isinstance(effect, Operation):
                assert outstanding is None
                outstanding = effect
            elif isinstance(effect, Report):
                assert last is None or effect.status.follows(last)
                last = effect.status

    def answer(seen: ContainerState | None) -> None:
        assert outstanding is not None
        number = outstanding.number
        if isinstance(outstanding, EnsureImage):
            give(Succeeded(number, image_id="i"))
        elif isinstance(outstanding, Stop | Remove):
            give(Succeeded(number))
        else:
            give(Succeeded(number, seen or container()))

    for item in items:
        now_s += 1.0
        match item:
            case ("ok", seen):
                if outstanding is not None:
                    answer(seen)
            case ("fail", down, gone):
                if outstanding is not None:
                    give(Failed(outstanding.number, "no", not_now=down, container_gone=gone))
            case Desired(given_task, spec):
                give(Desired(replace(given_task, status=task.status if last is None else last), spec))
            case _:
                give(item)
    give(Permitted(True, True))
    give(Gone())
    if outstanding is None:
        give(Seen(machine.container))
    for _ in range(10):
        now_s += 100.0
        if isinstance(outstanding, EnsureImage):
            give(Cancelled(outstanding.number))
        elif outstanding is not None:
            answer(container())
        give(Due())
    if outstanding is None and machine.container is None:
        give(Seen(None))
    assert outstanding is None
    assert machine.container is None
    assert Forget() in machine.handle(Due(), now_s)


class TestAttempts:
    """Of a run: started once, whatever ends it; what was written stays until the run is forgotten."""

    def bench(self) -> Bench:
        bench = Bench()
        bench.task = replace(TASK, run="backup-1")
        return bench

    def test_an_attempt_that_ended_is_not_started_again(self) -> None:
        for exit_code, state in ((0, TaskState.COMPLETED), (3, TaskState.FAILED)):
            bench = self.bench()
            bench.running()
            bench.give(Signalled("c1", "die"))
            bench.give(Succeeded(bench.only(Inspect).number, died(exit_code)))
            assert bench.only(Report).status.state is state
            assert bench.only(Report).status.exit_code == exit_code
            bench.now_s += 100
            bench.give(Due(), Seen(died(exit_code)))
            bench.none(Start, Create, Remove)

    def test_one_that_ran_before_its_daemon_ended_is_not_started_by_the_next(self) -> None:
        for told in (TaskState.ASSIGNED, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING):
            bench = self.bench()
            bench.task = replace(bench.task, status=TaskStatus(state=told))
            bench.give(Permitted(True, True), Desired(bench.task, SPEC), Seen(died(0)))
            bench.none(Start, Create)
            assert bench.machine.status.state is TaskState.COMPLETED, told

    def test_a_failed_pull_ends_it(self) -> None:
        bench = self.bench()
        bench.give(Permitted(True, True), Desired(bench.task, SPEC), Seen(None))
        bench.give(Failed(bench.only(EnsureImage).number, "no such image"))
        assert bench.machine.status.state is TaskState.FAILED
        bench.now_s += 100
        bench.give(Due())
        bench.none(EnsureImage, Create)

    def test_it_waits_for_a_leader(self) -> None:
        bench = self.bench()
        bench.give(Permitted(start=True, remove=False), Desired(bench.task, SPEC), Seen(None))
        bench.none(EnsureImage)
        bench.give(Permitted(start=True, remove=True))
        bench.only(EnsureImage)

    def test_stopped_it_keeps_its_container_and_forgotten_it_loses_it(self) -> None:
        bench = self.bench()
        bench.running()
        bench.task = replace(bench.task, desired_state=DesiredState.STOPPED)
        bench.desire()
        bench.give(Succeeded(bench.only(Stop).number))
        assert bench.machine.status.state is TaskState.STOPPED
        bench.none(Remove, ReportRemoved)
        bench.task = replace(bench.task, desired_state=DesiredState.REMOVED)
        bench.desire()
        bench.give(Succeeded(bench.only(Remove).number))
        bench.only(ReportRemoved)
