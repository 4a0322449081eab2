"""Restart policies and health checks in the task machine: what ends, what is sick, and what is started again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.model.app_spec import AppSpec
from consensus.model.health_check import HealthCheck
from consensus.model.restart import RestartPolicy
from consensus.model.service import ServiceCheck
from consensus.model.task import Health, TaskState, TaskStatus
from runtime.task_effects import NoteEnd, RetryAt, Start, StartProbes, Stop, StopServiceProbes
from runtime.task_inputs import Desired, Due, Failed, Permitted, Probed, Seen, Signalled, Succeeded
from tests.runtime.test_task_machine import CHECKED, TASK, Bench, container, died

SERVICE_CHECK = ServiceCheck(protocol="tcp", interval="1s")


def _bench(restart: RestartPolicy, check: HealthCheck | None = None) -> Bench:
    return Bench(AppSpec(name="web", image="busybox:local", restart=restart, health_check=check))


def _dies(bench: Bench, exit_code: int, ran_s: float = 1.0) -> None:
    """The running container ends, and the machine is told."""
    bench.give(Signalled("c1", "die"))
    number = bench.machine.operations
    bench.give(Succeeded(number, died(exit_code, ran_s=ran_s)))


def _runs_again(bench: Bench, started_at_s: float) -> None:
    bench.later()
    bench.give(Succeeded(bench.only(Start).number, container(started_at_s=started_at_s)))
    assert bench.status.state is TaskState.RUNNING


@pytest.mark.parametrize(
    ("policy", "exit_code", "final"),
    [
        ("always", 0, False),
        ("always", 1, False),
        ("on-failure", 0, True),
        ("on-failure", 1, False),
        ("no", 0, True),
        ("no", 1, True),
    ],
)
def test_the_policy_says_what_is_started_again(policy: str, exit_code: int, final: bool) -> None:
    bench = _bench(RestartPolicy(policy=policy))  # type: ignore[arg-type]
    bench.running()
    _dies(bench, exit_code)
    assert bench.status.final is final
    assert bench.status.state is (TaskState.FAILED if exit_code else TaskState.COMPLETED)
    if final:
        bench.none(RetryAt)
        bench.now_s += 1000.0
        bench.give(Due())
        bench.none(Start)
    else:
        _runs_again(bench, 200.0)


def test_a_final_end_stays_final_over_a_restart_of_the_daemon() -> None:
    status = TaskStatus(state=TaskState.COMPLETED, engine_id="c1", exit_code=0, final=True)
    bench = Bench(AppSpec(name="web", image="i", restart=RestartPolicy(policy="on-failure")), status)
    bench.give(Permitted(True, True), Desired(bench.task, bench.spec), Seen(died(0)))
    bench.none(Start)
    assert bench.status == status


def test_what_somebody_started_by_hand_is_a_new_run() -> None:
    bench = _bench(RestartPolicy(policy="no"))
    bench.running()
    _dies(bench, 0)
    bench.give(Seen(container(started_at_s=300.0)))
    assert (bench.status.state, bench.status.restart_count, bench.status.final) == (TaskState.RUNNING, 1, False)


def test_the_pauses_double_and_begin_anew_after_a_steady_run() -> None:
    bench = _bench(RestartPolicy(backoff="1s", max_backoff="3s"))
    bench.running()
    pauses = []
    for run in range(5):
        _dies(bench, 1, ran_s=60.0 if run == 4 else 1.0)
        pauses.append(bench.only(RetryAt).at_s - bench.now_s)
        _runs_again(bench, 200.0 + run)
    assert pauses == pytest.approx([1.0, 2.0, 3.0, 3.0, 1.0])


def test_after_its_attempts_it_is_given_up_with_the_reason() -> None:
    bench = _bench(RestartPolicy(max_attempts=2))
    bench.running()
    for run in range(2):
        _dies(bench, 7)
        _runs_again(bench, 200.0 + run)
    _dies(bench, 7)
    assert bench.status.final
    assert bench.status.message == "exited with code 7; given up after 2 restarts"


def test_only_restarts_within_the_window_count() -> None:
    bench = _bench(RestartPolicy(max_attempts=2, window="1m", backoff="1s", max_backoff="1s"))
    bench.running()
    for run in range(6):
        _dies(bench, 7)
        assert not bench.status.final
        _runs_again(bench, 200.0 + run)
        bench.now_s += 35.0
    for run in range(2):
        bench.now_s += 100.0 if run == 0 else 0.0
        _dies(bench, 7)
        _runs_again(bench, 300.0 + run)
    _dies(bench, 7)
    assert bench.status.message == "exited with code 7; given up after 2 restarts within 60 s"


def test_a_pull_that_fails_is_tried_again_whatever_the_policy_says() -> None:
    bench = _bench(RestartPolicy(policy="no"))
    bench.give(Permitted(True, True), Desired(bench.task, bench.spec), Seen(None))
    bench.give(Failed(bench.machine.operations, "no such image"))
    assert not bench.status.final
    assert bench.only(NoteEnd).message == "no such image"
    bench.only(RetryAt)


def test_an_unhealthy_container_is_stopped_with_grace_and_started_again() -> None:
    bench = _bench(RestartPolicy(), HealthCheck(command="true"))
    bench.running()
    bench.give(Probed(0, Health.HEALTHY))
    bench.give(Probed(0, Health.DEGRADED, "exit code 1"))
    assert (bench.status.health, bench.status.message) == (Health.DEGRADED, "exit code 1")
    bench.none(Stop)
    bench.give(Probed(0, Health.UNHEALTHY, "exit code 1"))
    assert bench.only(Stop).grace_s == 10.0
    bench.give(Succeeded(bench.only(Stop).number))
    bench.give(Succeeded(bench.machine.operations, died(143)))
    assert bench.status.state is TaskState.FAILED
    assert bench.status.health is Health.FAILED
    assert bench.status.message == "unhealthy: exit code 1"
    assert bench.status.exit_code == 143
    _runs_again(bench, 200.0)
    assert (bench.status.health, bench.status.restart_count, bench.status.message) == (Health.STARTING, 1, "")


def test_an_unhealthy_container_is_left_as_it_is_where_nothing_would_start_it_again() -> None:
    bench = _bench(RestartPolicy(policy="no"), HealthCheck(command="true"))
    bench.running()
    bench.give(Probed(0, Health.UNHEALTHY, "exit code 1"))
    bench.none(Stop)
    assert bench.status.health is Health.UNHEALTHY


def test_one_that_was_unhealthy_before_the_daemon_restarted_is_restarted_when_permitted() -> None:
    status = TaskStatus(state=TaskState.RUNNING, health=Health.UNHEALTHY, engine_id="c1", started_at_s=100.0)
    bench = Bench(CHECKED, status)
    bench.give(Desired(bench.task, CHECKED), Seen(container()))
    bench.none(Stop)
    bench.give(Permitted(True, True))
    bench.only(Stop)


def test_a_services_check_takes_a_replica_out_and_stops_nothing() -> None:
    bench = Bench()
    bench.give(Permitted(True, True), Desired(TASK, bench.spec, SERVICE_CHECK), Seen(None))
    bench.give(Succeeded(bench.machine.operations, image_id="i"))
    bench.give(Succeeded(bench.machine.operations, container("created", started_at_s=None)))
    bench.give(Succeeded(bench.machine.operations, container()))
    assert not bench.status.serves
    assert [effect.of_service for effect in bench.effects if isinstance(effect, StartProbes)] == [False, True]
    bench.give(Probed(0, Health.HEALTHY, of_service=True))
    assert bench.status.serves
    bench.give(Probed(0, Health.UNHEALTHY, "port 80: refused", of_service=True))
    assert not bench.status.serves
    assert bench.status.message == "port 80: refused"
    bench.none(Stop)
    bench.give(Probed(0, Health.HEALTHY, of_service=True))
    assert (bench.status.serves, bench.status.message) == (True, "")


def test_a_services_new_check_takes_nobody_out_before_it_has_looked() -> None:
    bench = Bench()
    bench.running()
    bench.give(Desired(replace(bench.task, status=bench.status), bench.spec, SERVICE_CHECK))
    assert bench.status.serves
    assert bench.status.service_health is Health.HEALTHY
    assert bench.only(StartProbes).of_service
    bench.give(Desired(replace(bench.task, status=bench.status), bench.spec, None))
    assert bench.status.service_health is None
    bench.only(StopServiceProbes)
