"""Jobs and runs as state: what each command does and refuses (issue 5, Jobs)."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from api.views.job import run_item
from consensus import commands as c
from consensus.model.job import JobSpec
from consensus.model.run import Run, RunStatus
from consensus.model.task import DesiredState, Task, TaskState, TaskStatus
from consensus.outcomes import Refusal, RefusalCode, RunStarted
from tests.consensus.making import Feed, running, spec

DONE = TaskStatus(state=TaskState.COMPLETED, exit_code=0, engine_id="e")
BROKEN = TaskStatus(state=TaskState.FAILED, exit_code=1, engine_id="e", message="exited with code 1")


def job(name: str = "backup", **more: Any) -> JobSpec:
    return JobSpec(name=name, image="busybox", **more)


def feed_with(**more: Any) -> Feed:
    feed = Feed()
    feed.add_nodes(2)
    feed.accepted(c.CreateJob(job(**more)))
    return feed


def run_of(feed: Feed, name: str = "backup") -> Run:
    return feed.state.runs_of(name)[-1]


def attempts(feed: Feed, name: str = "backup") -> list[Task]:
    return feed.state.tasks_of_app(name)


def start(feed: Feed, node_id: str = "n1") -> list[str]:
    """Places and starts every attempt that waits."""
    waiting = sorted(feed.state.unplaced_task_ids)
    feed.accepted(c.PlaceTasks([c.Placement(task_id, node_id) for task_id in waiting]))
    feed.report(running(), *waiting)
    return waiting


def kinds(feed: Feed) -> list[str]:
    events = feed.machine.events.after(feed.machine.events.before_oldest)
    assert isinstance(events, list)
    return [event.type for event in events if event.type.startswith("run_")]


def test_a_job_without_a_schedule_runs_once_and_keeps_what_it_wrote() -> None:
    feed = feed_with()
    (task_id,) = start(feed)
    feed.report(DONE, task_id)
    run, task = run_of(feed), feed.state.tasks[task_id]
    assert (run.status, run.completed, run.reason) == (RunStatus.SUCCEEDED, (1,), "created")
    assert (task.desired_state, task.ended) == (DesiredState.RUNNING, True)
    assert "n1" not in feed.state.task_ids_by_node
    assert [kept.id for kept in feed.state.tasks_on_node("n1")] == [task_id]
    assert kinds(feed) == ["run_started", "run_succeeded"]


def test_failures_count_up_to_the_limit_and_each_retry_waits_longer() -> None:
    feed = feed_with(backoff_limit=2, retry_delay="4s")
    delays = []
    for _ in range(3):
        (task_id,) = start(feed)
        feed.report(BROKEN, task_id)
        run = run_of(feed)
        delays.append(run.retry_at_s - (1000.0 + feed.machine.index - 1))
        feed.accepted(c.AttemptRun(run.id, [1]))
    assert (run.status, run.failures, run.message) == (RunStatus.FAILED, 3, "exited with code 1")
    assert delays[:2] == [4.0, 8.0]
    assert len(attempts(feed)) == 3
    assert kinds(feed) == ["run_started", "run_failed"]


def test_completions_are_counted_by_slot_and_an_attempt_is_made_once() -> None:
    feed = feed_with(completions=3, parallelism=2)
    first, second = start(feed)
    run = run_of(feed)
    feed.accepted(c.AttemptRun(run.id, [1, 2]))
    assert len(attempts(feed)) == 2
    feed.report(DONE, first)
    feed.accepted(c.AttemptRun(run.id, [1, 3, 4]))
    assert [task.slot for task in attempts(feed)] == [1, 2, 3]
    feed.report(DONE, second, *start(feed))
    assert run_of(feed).status is RunStatus.SUCCEEDED


def test_an_instant_of_the_schedule_makes_one_run_whoever_says_it() -> None:
    feed = feed_with(schedule="* * * * *")
    assert not feed.state.runs
    feed.accepted(c.ScheduleRun("backup", 1080.0), c.ScheduleRun("backup", 1080.0), c.ScheduleRun("backup", 1020.0))
    assert [run.scheduled_at_s for run in feed.state.runs_of("backup")] == [1080.0]
    feed.accepted(c.ScheduleRun("backup", 1140.0, "it was 9 s late"))
    assert len(feed.state.runs) == 1
    assert feed.state.jobs["backup"].skipped == "1970-01-01T00:19:00Z: it was 9 s late"
    assert kinds(feed) == ["run_started", "run_skipped"]


def test_forbid_leaves_a_run_out_and_says_so() -> None:
    feed = feed_with(schedule="* * * * *", concurrency_policy="forbid")
    feed.accepted(c.ScheduleRun("backup", 1080.0), c.ScheduleRun("backup", 1140.0))
    assert len(feed.state.runs) == 1
    assert "concurrency_policy is forbid" in feed.state.jobs["backup"].skipped
    refused = feed(c.TriggerJob("backup"))
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CONFLICT


def test_replace_stops_the_run_that_goes_on_and_keeps_what_it_wrote() -> None:
    feed = feed_with(schedule="* * * * *", concurrency_policy="replace")
    feed.accepted(c.ScheduleRun("backup", 1080.0))
    (task_id,) = start(feed)
    feed.accepted(c.ScheduleRun("backup", 1140.0))
    first, second = feed.state.runs_of("backup")
    assert (first.status, second.status) == (RunStatus.STOPPED, RunStatus.RUNNING)
    assert feed.state.tasks[task_id].desired_state is DesiredState.STOPPED
    feed.report(TaskStatus(state=TaskState.STOPPED, engine_id="e"), task_id)
    assert task_id in feed.state.tasks
    assert first.failures == 0


@pytest.mark.parametrize("policy", ["replace", "forbid"])
def test_a_run_begins_when_the_containers_of_the_one_before_have_ended(policy: Literal["replace", "forbid"]) -> None:
    """Both ran until the grace of the old one was over."""
    feed = feed_with(schedule="* * * * *", concurrency_policy=policy, timeout="30s")
    feed.accepted(c.ScheduleRun("backup", 1080.0))
    (task_id,) = start(feed)
    if policy == "forbid":
        feed.accepted(c.EndRun(run_of(feed).id, RunStatus.STOPPED, "by hand"))
    outcome = feed.accepted(c.TriggerJob("backup"))
    assert isinstance(outcome, RunStarted)
    assert (outcome.task_ids, list(feed.state.tasks)) == ([], [task_id])
    run = feed.state.runs[outcome.run_id]
    assert run.message == "waits until the containers of the run before have ended"
    assert (run_item(feed.state, run).active, run.ends_by_s) == (0, float("inf"))
    # Whoever was told otherwise, as a leader of before, does not begin it.
    feed.accepted(c.AttemptRun(run.id, [1]))
    assert list(feed.state.tasks) == [task_id]
    feed.report(TaskStatus(state=TaskState.STOPPED, engine_id="e"), task_id)
    feed.accepted(c.AttemptRun(run.id, [1]))
    run = feed.state.runs[run.id]
    (second,) = feed.state.tasks_of_run(run)
    assert (run.message, run.ends_by_s) == ("", second.created_at_s + 30)


def test_what_was_due_while_suspended_is_not_made_up_for() -> None:
    feed = feed_with(schedule="* * * * *", suspended=True)
    feed.accepted(c.ScheduleRun("backup", 1080.0), c.SuspendJob("backup", suspended=False))
    assert not feed.state.runs
    feed.accepted(c.ScheduleRun("backup", 1002.0))
    assert not feed.state.runs, "an instant from before it was resumed"
    feed.accepted(c.ScheduleRun("backup", 9000.0))
    assert len(feed.state.runs) == 1


def test_a_single_run_waits_while_suspended() -> None:
    feed = feed_with(suspended=True)
    assert not feed.state.runs
    outcome = feed.accepted(c.SuspendJob("backup", suspended=False))
    assert isinstance(outcome, RunStarted)
    feed.accepted(c.SuspendJob("backup", suspended=True), c.SuspendJob("backup", suspended=False))
    assert len(feed.state.runs) == 1


def test_a_lost_attempt_counts_and_one_that_never_began_does_not() -> None:
    feed = feed_with(backoff_limit=0, completions=2, parallelism=2)
    waiting = sorted(feed.state.unplaced_task_ids)
    feed.accepted(c.PlaceTasks([c.Placement(waiting[0], "n1"), c.Placement(waiting[1], "n2")]))
    feed.report(running(), waiting[1])
    feed.accepted(c.RemoveNode("n1", force=True))
    assert run_of(feed).status is RunStatus.RUNNING
    feed.accepted(c.RemoveNode("n2", force=True))
    run = run_of(feed)
    assert (run.status, run.failures) == (RunStatus.FAILED, 1)
    assert "was lost with node n2" in run.message


def test_ending_a_run_stops_it_and_forgetting_it_takes_its_containers_away() -> None:
    feed = feed_with()
    (task_id,) = start(feed)
    run = run_of(feed)
    feed.accepted(c.ForgetRuns([run.id]))
    assert run.id in feed.state.runs, "it goes on"
    feed.accepted(c.EndRun(run.id, RunStatus.STOPPED, "by hand"))
    assert feed.state.tasks[task_id].desired_state is DesiredState.STOPPED
    assert isinstance(feed(c.EndRun(run.id, RunStatus.FAILED, "late")), Refusal)
    feed.report(TaskStatus(state=TaskState.STOPPED, engine_id="e"), task_id)
    feed.accepted(c.ForgetRuns([run.id]))
    assert feed.state.tasks[task_id].desired_state is DesiredState.REMOVED
    feed.accepted(c.ReportTasks("n1", [], [task_id]))
    assert not feed.state.tasks
    assert len(feed.state.specs) == 1, "the job's own"


def test_deleting_a_job_leaves_nothing() -> None:
    feed = feed_with()
    (task_id,) = start(feed)
    feed.accepted(c.UpdateJob(job(args=["other"])))
    assert len(feed.state.specs) == 2
    feed.accepted(c.DeleteJob("backup"), c.ReportTasks("n1", [], [task_id]))
    state = feed.state
    for table in (state.jobs, state.runs, state.run_ids_by_owner, state.tasks, state.specs):
        assert not table


def test_apps_and_jobs_do_not_share_a_name() -> None:
    feed = feed_with()
    assert isinstance(feed(c.DeployApp(spec("backup"))), Refusal)
    feed.accepted(c.DeployApp(spec("web")))
    assert isinstance(feed(c.CreateJob(job("web"))), Refusal)
    assert isinstance(feed(c.CreateJob(job(priority_class="none"))), Refusal)


def test_a_node_with_nothing_but_ended_attempts_may_be_removed() -> None:
    feed = feed_with()
    feed.report(DONE, *start(feed))
    feed.accepted(c.RemoveNode("n1"))
    assert not feed.state.tasks
    assert run_of(feed).status is RunStatus.SUCCEEDED
