"""Jobs and their runs: what was asked for, and what became of it."""

from __future__ import annotations

from msgspec import Struct

from api.views.container import status_word, time_or_none, why
from api.views.fields import same_fields
from consensus.model.image import known_digest
from consensus.model.job import Job, JobSpec
from consensus.model.run import Run
from consensus.model.schedule import next_due_s
from consensus.model.task import Task
from consensus.state import State
from consensus.timestamp import iso_utc


class JobItem(Struct, frozen=True, kw_only=True):
    """`next_run_at`: the next instant of the schedule; null where none comes. `skipped`: the last that was left out."""

    name: str
    namespace: str
    image: str
    image_digest: str | None
    schedule: str | None
    time_zone: str
    concurrency_policy: str
    suspended: bool
    active_runs: int
    last_run_id: str | None
    last_run_status: str | None
    last_run_at: str | None
    next_run_at: str | None
    skipped: str
    created_at: str
    updated_at: str


class JobDetail(JobItem, frozen=True, kw_only=True):
    """`spec` is a body of ``PUT /jobs/{name}``."""

    spec: JobSpec


class RunItem(Struct, frozen=True, kw_only=True):
    """`succeeded` of `completions` are done, `active` containers are at work, `failures` attempts were in vain.

    `retry_at`: when the next attempt begins after one that failed.
    """

    id: str
    job: str
    number: int
    reason: str
    status: str
    message: str
    scheduled_at: str | None
    started_at: str
    finished_at: str | None
    retry_at: str | None
    completions: int
    succeeded: int
    active: int
    failures: int


class RunContainer(Struct, frozen=True, kw_only=True):
    """One attempt. `index`: which of the run's parts, from 0."""

    id: str
    index: int
    node_id: str | None
    status: str
    message: str
    exit_code: int | None
    started_at: str | None
    finished_at: str | None


class RunDetail(RunItem, frozen=True, kw_only=True):
    containers: list[RunContainer]


def _next_run_s(job: Job) -> float | None:
    if job.spec.schedule is None or job.spec.suspended:
        return None
    found = next_due_s(job.spec.schedule, job.spec.time_zone, job.scheduled_until_s)
    return None if found == float("inf") else found


def job_item(state: State, job: Job) -> JobItem:
    spec, runs = job.spec, state.runs_of(job.name)
    last = runs[-1] if runs else None
    return JobItem(
        name=job.name,
        namespace=spec.namespace,
        image=spec.image,
        image_digest=known_digest(spec.image, spec.image_digest),
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        concurrency_policy=spec.concurrency_policy,
        suspended=spec.suspended,
        active_runs=sum(not run.status.finished for run in runs),
        last_run_id=None if last is None else last.id,
        last_run_status=None if last is None else last.status.value,
        last_run_at=None if last is None else iso_utc(last.created_at_s),
        next_run_at=time_or_none(_next_run_s(job)),
        skipped=job.skipped,
        created_at=iso_utc(job.created_at_s),
        updated_at=iso_utc(job.updated_at_s),
    )


def job_detail(state: State, job: Job) -> JobDetail:
    item = job_item(state, job)
    return JobDetail(**same_fields(JobItem, item), spec=job.spec)


def run_item(state: State, run: Run) -> RunItem:
    waits = not run.status.finished and run.retry_at_s > 0
    active = sum(not task.ended for task in state.tasks_of_run(run))
    return RunItem(
        id=run.id,
        job=run.owner,
        number=run.number,
        reason=run.reason,
        status=run.status.value,
        message=run.message,
        scheduled_at=time_or_none(run.scheduled_at_s),
        started_at=iso_utc(run.created_at_s),
        finished_at=time_or_none(run.finished_at_s),
        retry_at=time_or_none(run.retry_at_s) if waits and not active else None,
        completions=run.policy.completions,
        succeeded=len(run.completed),
        active=active,
        failures=run.failures,
    )


def run_detail(state: State, run: Run) -> RunDetail:
    item = run_item(state, run)
    return RunDetail(
        **same_fields(RunItem, item),
        containers=[_container(state, task) for task in state.tasks_of_run(run)],
    )


def _container(state: State, task: Task) -> RunContainer:
    return RunContainer(
        id=task.id,
        index=task.slot - 1,
        node_id=task.node_id,
        status=status_word(state, task),
        message=why(state, task),
        exit_code=task.status.exit_code,
        started_at=time_or_none(task.status.started_at_s),
        finished_at=time_or_none(task.status.finished_at_s),
    )
