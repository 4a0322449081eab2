"""The reconcilers of jobs and runs, step by step (issue 5, Jobs). That they are idempotent: test_reconcilers.py."""

from __future__ import annotations

from typing import Any

from consensus import commands as c
from consensus.model.job import JobSpec, KeptRuns
from consensus.model.run import RunStatus
from consensus.model.task import TaskState, TaskStatus
from hivemind.orchestrator import jobs, lost, runs
from hivemind.orchestrator.agenda import Agenda
from tests.consensus.making import Feed, running

DONE = TaskStatus(state=TaskState.COMPLETED, exit_code=0)
BROKEN = TaskStatus(state=TaskState.FAILED, exit_code=1, message="exited with code 1")


def feed_with(**more: Any) -> Feed:
    feed = Feed()
    feed.add_nodes(2)
    feed.accepted(c.CreateJob(JobSpec(name="backup", image="busybox", **more)))
    return feed


def start(feed: Feed, node_id: str = "n1") -> list[str]:
    waiting = sorted(feed.state.unplaced_task_ids)
    feed.accepted(c.PlaceTasks([c.Placement(task_id, node_id) for task_id in waiting]))
    feed.report(running(), *waiting)
    return waiting


def plan_runs(feed: Feed, wall_s: float) -> list[runs.Command]:
    return runs.plan(feed.state, ["backup"], wall_s)


def test_only_the_last_of_the_missed_instants_makes_a_run() -> None:
    feed = feed_with(schedule="* * * * *")
    assert jobs.due_s(feed.state.jobs["backup"]) == 1020.0
    assert jobs.plan(feed.state, ["backup", "gone"], 1019.9) == []
    assert jobs.plan(feed.state, ["backup"], 1320.0 + 59) == [c.ScheduleRun("backup", 1320.0)]


def test_a_run_that_would_begin_too_late_is_left_out() -> None:
    feed = feed_with(schedule="0 * * * *", starting_deadline="1m")
    assert jobs.plan(feed.state, ["backup"], 3660.0) == [c.ScheduleRun("backup", 3600.0)]
    assert jobs.plan(feed.state, ["backup"], 3700.0) == [c.ScheduleRun("backup", 3600.0, "it was 100 s late")]


def test_a_suspended_job_is_never_due() -> None:
    feed = feed_with(schedule="* * * * *", suspended=True)
    assert jobs.plan(feed.state, ["backup"], 5000.0) == []
    assert jobs.due_s(feed.state.jobs["backup"]) == float("inf")


def test_the_oldest_finished_runs_are_forgotten_by_kind() -> None:
    feed = feed_with(backoff_limit=0, history=KeptRuns(succeeded=1, failed=1))
    for status in (DONE, BROKEN, DONE, BROKEN):
        feed.report(status, *start(feed))
        feed.accepted(c.TriggerJob("backup"))
    first, second, *_, last = feed.state.runs_of("backup")
    assert jobs.plan(feed.state, ["backup"], 5000.0) == [c.ForgetRuns([first.id, second.id])]
    assert last.status is RunStatus.RUNNING


def test_a_failed_attempt_is_followed_by_another_when_its_delay_is_over() -> None:
    feed = feed_with(retry_delay="1m")
    feed.report(BROKEN, *start(feed))
    (run,) = feed.state.runs.values()
    assert plan_runs(feed, run.retry_at_s - 1) == []
    assert runs.due_s(feed.state, "backup") == run.retry_at_s
    assert plan_runs(feed, run.retry_at_s) == [c.AttemptRun(run.id, [1])]


def test_the_next_slots_follow_as_attempts_end() -> None:
    feed = feed_with(completions=4, parallelism=2)
    (run,) = feed.state.runs.values()
    first, _ = start(feed)
    assert plan_runs(feed, 2000.0) == []
    feed.report(DONE, first)
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [3])]


def test_a_run_out_of_time_fails() -> None:
    feed = feed_with(timeout="90s")
    (run,) = feed.state.runs.values()
    assert runs.due_s(feed.state, "backup") == run.created_at_s + 90
    (end,) = plan_runs(feed, run.created_at_s + 90)
    assert end == c.EndRun(run.id, RunStatus.FAILED, "it was not done within 90 s")


def test_a_run_that_replaces_another_waits_for_its_containers_and_for_no_others() -> None:
    feed = feed_with(concurrency_policy="replace")
    (old,) = start(feed)
    for _ in range(2):
        feed.accepted(c.TriggerJob("backup"))
    *_, waiting, run = feed.state.runs_of("backup")
    assert waiting.status is RunStatus.STOPPED
    assert plan_runs(feed, 2000.0) == []
    assert runs.due_s(feed.state, "backup") == float("inf")
    feed.report(TaskStatus(state=TaskState.STOPPED), old)
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [1])]
    feed.accepted(c.AttemptRun(run.id, [1]))
    assert plan_runs(feed, 2000.0) == []


def test_a_run_does_not_wait_for_containers_that_are_lost_with_their_node() -> None:
    feed = feed_with(concurrency_policy="replace")
    start(feed)
    feed.accepted(c.TriggerJob("backup"))
    run = feed.state.runs_of("backup")[-1]
    node = feed.state.nodes["n1"]
    feed.accepted(c.SetNodeStatus("n1", expected=node.status, status=node.status.LOST))
    feed.accepted(*lost.plan(feed.state, 2000.0))
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [1])]


def test_what_must_not_run_twice_waits_for_the_lost_node_of_the_run_whose_place_it_takes() -> None:
    """What was stopped there was forgotten, and the new run began although the old one may have run on."""
    feed = feed_with(concurrency_policy="replace", keep_lost=True)
    (old,) = start(feed)
    feed.accepted(c.TriggerJob("backup"))
    run = feed.state.runs_of("backup")[-1]
    node = feed.state.nodes["n1"]
    feed.accepted(c.SetNodeStatus("n1", expected=node.status, status=node.status.LOST))
    assert lost.plan(feed.state, 2000.0) == []
    assert plan_runs(feed, 2000.0) == []
    feed.accepted(c.SetNodeStatus("n1", expected=node.status.LOST, status=node.status))
    feed.report(TaskStatus(state=TaskState.STOPPED), old)
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [1])]


def test_it_waits_no_longer_when_the_lost_node_is_removed_or_the_job_is_deleted() -> None:
    for give_up in (c.RemoveNode("n1", force=True), c.DeleteJob("backup")):
        feed = feed_with(concurrency_policy="replace", keep_lost=True)
        start(feed)
        feed.accepted(c.TriggerJob("backup"))
        run = feed.state.runs_of("backup")[-1]
        node = feed.state.nodes["n1"]
        feed.accepted(c.SetNodeStatus("n1", expected=node.status, status=node.status.LOST), give_up)
        feed.accepted(*lost.plan(feed.state, 2000.0))
        assert not feed.state.tasks
        assert plan_runs(feed, 2000.0) == ([c.AttemptRun(run.id, [1])] if run.id in feed.state.runs else [])


def test_a_drain_stops_the_attempt_and_the_next_begins_once_it_has_ended() -> None:
    feed = feed_with(retry_delay=0)
    (task_id,) = start(feed)
    (run,) = feed.state.runs.values()
    feed.accepted(c.SetMaintenance("n1", enable=True, drain=True))
    assert plan_runs(feed, 2000.0) == [c.RemoveTasks([task_id])]
    feed.accepted(c.RemoveTasks([task_id]))
    assert plan_runs(feed, 2000.0) == []
    feed.report(TaskStatus(state=TaskState.STOPPED), task_id)
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [1])]
    assert feed.state.runs[run.id].failures == 0, "that it was stopped is no fault of the work"


def test_what_must_not_begin_twice_has_failed_when_a_drain_stopped_it() -> None:
    feed = feed_with(backoff_limit=0)
    (task_id,) = start(feed)
    feed.accepted(c.SetMaintenance("n1", enable=True, drain=True), c.RemoveTasks([task_id]))
    feed.report(TaskStatus(state=TaskState.STOPPED), task_id)
    (run,) = feed.state.runs.values()
    assert (run.status, run.failures) == (RunStatus.FAILED, 1)


def test_an_attempt_that_a_drain_stopped_and_whose_node_was_then_lost_does_not_count() -> None:
    feed = feed_with(retry_delay=0, backoff_limit=1)
    (task_id,) = start(feed)
    (run,) = feed.state.runs.values()
    feed.accepted(c.SetMaintenance("n1", enable=True, drain=True), c.RemoveTasks([task_id]))
    status = feed.state.nodes["n1"].status
    feed.accepted(c.SetNodeStatus("n1", expected=status, status=status.LOST))
    feed.accepted(*lost.plan(feed.state, 2000.0))
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [1])]
    assert feed.state.runs[run.id].failures == 0


def test_a_lost_nodes_attempts_are_made_again_and_its_ended_ones_stay_with_it() -> None:
    feed = feed_with(completions=2, parallelism=2, retry_delay=0)
    first, second = start(feed)
    feed.report(DONE, first)
    (run,) = feed.state.runs.values()
    node = feed.state.nodes["n1"]
    feed.accepted(c.SetNodeStatus("n1", expected=node.status, status=node.status.LOST))
    feed.accepted(*lost.plan(feed.state, 2000.0))
    assert sorted(feed.state.tasks) == [first]
    assert plan_runs(feed, 2000.0) == [c.AttemptRun(run.id, [2])]
    assert second not in feed.state.tasks


def test_the_agenda_tells_each_name_once_and_forgets_what_was_replaced() -> None:
    agenda = Agenda()
    agenda.note("a", 10.0)
    agenda.note("b", 5.0)
    agenda.note("a", 20.0)
    agenda.note("c", 7.0)
    agenda.note("c", float("inf"))
    assert agenda.next_s == 5.0
    assert list(agenda.due(15.0)) == ["b"]
    assert agenda.next_s == 20.0
    assert list(agenda.due(20.0)) == ["a"]
    assert list(agenda.due(99.0)) == []
