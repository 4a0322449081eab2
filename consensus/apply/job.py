"""Jobs: created, changed, suspended, triggered, deleted; and the leader's decisions about their runs."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import run as runs
from consensus.apply.app import unknown_priority
from consensus.apply.namespace import foreign, moved
from consensus.apply.task import retire
from consensus.apply.volume import provide_volumes
from consensus.commands import (
    AttemptRun,
    CreateJob,
    DeleteJob,
    EndRun,
    ForgetRuns,
    ScheduleRun,
    SuspendJob,
    TriggerJob,
    UpdateJob,
)
from consensus.draft import Draft
from consensus.model.event import EventType
from consensus.model.job import Job
from consensus.model.run import Run, RunStatus
from consensus.outcomes import AnyOutcome, Done, RunStarted, conflict, not_found
from consensus.timestamp import iso_utc


def create(draft: Draft, command: CreateJob) -> AnyOutcome:
    spec = command.spec
    if spec.name in draft.state.jobs:
        return conflict(f"job {spec.name!r} exists already; PUT /jobs/{spec.name} changes it")
    if spec.name in draft.state.apps:
        return conflict(f"an app is called {spec.name!r}: its containers and the job's could not be told apart")
    refusal = foreign(draft, spec) or unknown_priority(draft, spec)
    if refusal is not None:
        return refusal
    revision = draft.put_spec(spec.task_spec)
    job = Job(
        spec=spec,
        revision=revision,
        created_at_s=draft.time_s,
        updated_at_s=draft.time_s,
        scheduled_until_s=draft.time_s,
    )
    draft.put_job(job)
    provide_volumes(draft, spec)
    return _begin_if_single(draft, job, "created") or Done()


def _begin_if_single(draft: Draft, job: Job, reason: str) -> RunStarted | None:
    """A job without a schedule begins its only run as soon as it may."""
    if job.spec.schedule is not None or job.spec.suspended or job.next_number > 1:
        return None
    return _begin(draft, job, reason)


def _begin(draft: Draft, job: Job, reason: str, scheduled_at_s: float | None = None) -> RunStarted:
    draft.put_job(replace(job, next_number=job.next_number + 1))
    run, tasks = runs.begin(
        draft,
        job.name,
        job.revision,
        job.spec.policy,
        reason=reason,
        number=job.next_number,
        scheduled_at_s=scheduled_at_s,
        alone=job.spec.concurrency_policy != "allow",
    )
    return RunStarted(run_id=run.id, task_ids=[task.id for task in tasks])


def update(draft: Draft, command: UpdateJob) -> AnyOutcome:
    spec = command.spec
    job = draft.state.jobs.get(spec.name)
    if job is None:
        return not_found("job", spec.name)
    refusal = moved(spec.name, job.spec, spec) or foreign(draft, spec) or unknown_priority(draft, spec)
    if refusal is not None:
        return refusal
    before = job
    revision = draft.put_spec(spec.task_spec)
    job = replace(job, spec=spec, revision=revision, updated_at_s=draft.time_s)
    if (spec.schedule, spec.time_zone, spec.suspended) != (
        before.spec.schedule,
        before.spec.time_zone,
        before.spec.suspended,
    ):
        # What the new schedule would have meant before it was one is nobody's wish.
        job = replace(job, scheduled_until_s=draft.time_s, skipped="")
    draft.put_job(job)
    draft.forget_unused_specs(job.name, [before.revision])
    provide_volumes(draft, spec)
    return _begin_if_single(draft, job, "created") or Done()


def suspend(draft: Draft, command: SuspendJob) -> AnyOutcome:
    job = draft.state.jobs.get(command.name)
    if job is None:
        return not_found("job", command.name)
    if job.spec.suspended is command.suspended:
        return Done()
    spec = replace(job.spec, suspended=command.suspended)
    job = replace(job, spec=spec, updated_at_s=draft.time_s, scheduled_until_s=draft.time_s)
    draft.put_job(job)
    return _begin_if_single(draft, job, "created") or Done()


def _active(draft: Draft, job: Job) -> list[Run]:
    return [run for run in draft.state.runs_of(job.name) if not run.status.finished]


def _make_way(draft: Draft, job: Job) -> str:
    """Why no further run may begin now; "" where it may. Stops those whose place it takes."""
    active = _active(draft, job)
    if active and job.spec.concurrency_policy == "forbid":
        return f"run {active[0].id} goes on, and concurrency_policy is forbid"
    if job.spec.concurrency_policy == "replace":
        for run in active:
            runs.finish(draft, run, RunStatus.STOPPED, "a later run takes its place")
    return ""


def trigger(draft: Draft, command: TriggerJob) -> AnyOutcome:
    job = draft.state.jobs.get(command.name)
    if job is None:
        return not_found("job", command.name)
    obstacle = _make_way(draft, job)
    if obstacle:
        return conflict(obstacle)
    return _begin(draft, job, "manual")


def schedule(draft: Draft, command: ScheduleRun) -> AnyOutcome:
    """An instant that is dealt with already, perhaps by the leader before this one, changes nothing."""
    job = draft.state.jobs.get(command.job)
    if job is None:
        return not_found("job", command.job)
    if command.scheduled_at_s <= job.scheduled_until_s or job.spec.suspended:
        return Done()
    job = replace(job, scheduled_until_s=command.scheduled_at_s)
    skipped = command.skip or _make_way(draft, job)
    if skipped:
        at = iso_utc(command.scheduled_at_s)
        draft.put_job(replace(job, skipped=f"{at}: {skipped}"))
        draft.emit(EventType.RUN_SKIPPED, [f"job/{job.name}"], job=job.name, scheduled_at=at, message=skipped)
        return Done()
    return _begin(draft, job, "schedule", command.scheduled_at_s)


def delete(draft: Draft, command: DeleteJob) -> AnyOutcome:
    job = draft.state.jobs.get(command.name)
    if job is None:
        return not_found("job", command.name)
    for run in draft.state.runs_of(job.name):
        if not run.status.finished:
            runs.finish(draft, run, RunStatus.STOPPED, "the job was deleted")
        _forget(draft, run)
    draft.delete_job(job)
    return Done()


def attempt(draft: Draft, command: AttemptRun) -> AnyOutcome:
    run = draft.state.runs.get(command.run_id)
    if run is None:
        return not_found("run", command.run_id)
    if not run.status.finished:
        runs.attempt(draft, run, command.slots)
    return Done()


def end(draft: Draft, command: EndRun) -> AnyOutcome:
    run = draft.state.runs.get(command.run_id)
    if run is None:
        return not_found("run", command.run_id)
    if run.status.finished:
        return conflict(f"run {run.id!r} is over: it is {run.status}")
    runs.finish(draft, run, command.status, command.message)
    return Done()


def forget_runs(draft: Draft, command: ForgetRuns) -> AnyOutcome:
    for run_id in command.run_ids:
        run = draft.state.runs.get(run_id)
        if run is not None and run.status.finished:
            _forget(draft, run)
    return Done()


def _forget(draft: Draft, run: Run) -> None:
    draft.delete_run(draft.state.runs[run.id])
    for task in [task for task in draft.state.tasks_of_app(run.owner) if task.run == run.id]:
        retire(draft, task)
