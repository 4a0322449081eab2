"""Jobs: created, changed, suspended, triggered; their runs, and what those wrote."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from api import image_pins
from api.answer import Answer, Message, Stream
from api.app_logs import of_run
from api.call import Call, refuse_problems
from api.errors import Conflict, InternalError, InvalidRequest, NotFound
from api.route import Access, Listing, Route, Subject
from api.routes.containers import LOG_PARAMETERS, LogsAnswer, answer_logs
from api.views.job import JobDetail, JobItem, RunDetail, RunItem, job_detail, job_item, run_detail, run_item
from consensus.commands import CreateJob, DeleteJob, EndRun, ForgetRuns, SuspendJob, TriggerJob, UpdateJob
from consensus.model.image import settled
from consensus.model.job import Job, JobSpec
from consensus.model.run import Run, RunStatus
from consensus.outcomes import AnyOutcome, RunStarted


class JobAnswer(Struct, frozen=True, omit_defaults=True):
    """`run_id` and `container_ids`: of the run that began with it, where one did. `warnings`: what did not go as
    asked."""

    name: str
    run_id: str | None
    container_ids: list[str]
    message: str
    warnings: list[str] = []


def _job(call: Call) -> Job:
    return call.named(call.state.jobs, "name", "job")


def _run(call: Call) -> Run:
    job, run_id = _job(call), call.path["run_id"]
    run = call.state.runs.get(run_id)
    if run is None or run.owner != job.name:
        raise NotFound(f"job {job.name!r} has no run {run_id!r} (any more)")
    return run


def _answer(name: str, outcome: AnyOutcome, message: str, warnings: Sequence[str] = ()) -> JobAnswer:
    if isinstance(outcome, RunStarted):
        return JobAnswer(name, outcome.run_id, outcome.task_ids, message, [*warnings])
    return JobAnswer(name, None, [], message, [*warnings])


async def list_jobs(call: Call) -> Answer:
    state = call.state
    return await call.listed(sorted(state.jobs), lambda name: job_item(state, state.jobs[name]))


async def create(call: Call) -> Answer:
    spec = await call.body(JobSpec)
    refuse_problems(spec.problems())
    pins = await image_pins.ask(call, image_pins.images_of(spec))
    outcome = await call.propose(CreateJob(settled(spec, pins.found)))
    return Answer(_answer(spec.name, outcome, "Job created successfully", pins.warnings), status=201)


async def get_job(call: Call) -> Answer:
    return Answer(job_detail(call.state, _job(call)))


async def update(call: Call) -> Answer:
    """A whole new spec, for the runs that begin from now on. Without `image_digest`, its tag is asked for anew."""
    name, spec = call.path["name"], await call.body(JobSpec)
    if spec.name != name:
        raise InvalidRequest(f"name: expected {name!r}, as in the path, got {spec.name!r}")
    refuse_problems(spec.problems())
    job = call.state.jobs.get(name)
    before = None if job is None else job.spec
    spec = image_pins.asked_anew(spec, before)
    pins = await image_pins.ask(call, image_pins.images_of(spec), before)
    outcome = await call.propose(UpdateJob(settled(spec, pins.found)))
    return Answer(_answer(name, outcome, "Job updated successfully", pins.warnings))


async def delete(call: Call) -> Answer:
    name = call.path["name"]
    await call.propose(DeleteJob(name))
    return Answer(Message(name=name, message="Job deleted successfully"))


async def suspend(call: Call) -> Answer:
    name = call.path["name"]
    outcome = await call.propose(SuspendJob(name, suspended=True))
    return Answer(_answer(name, outcome, "Job suspended successfully"))


async def resume(call: Call) -> Answer:
    name = call.path["name"]
    outcome = await call.propose(SuspendJob(name, suspended=False))
    return Answer(_answer(name, outcome, "Job resumed successfully"))


async def trigger(call: Call) -> Answer:
    name = call.path["name"]
    outcome = await call.propose(TriggerJob(name))
    if not isinstance(outcome, RunStarted):
        raise InternalError(f"a trigger was answered with {type(outcome).__name__}")
    return Answer(_answer(name, outcome, "Run started successfully"), status=201)


async def list_runs(call: Call) -> Answer:
    state, job = call.state, _job(call)
    return await call.listed(state.runs_of(job.name)[::-1], lambda run: run_item(state, run))


async def get_run(call: Call) -> Answer:
    return Answer(run_detail(call.state, _run(call)))


async def stop_run(call: Call) -> Answer:
    run = _run(call)
    await call.propose(EndRun(run.id, RunStatus.STOPPED, f"stopped by {call.identity.username}"))
    return Answer(Message(id=run.id, message="Run stopped successfully"))


async def forget_run(call: Call) -> Answer:
    run = _run(call)
    if not run.status.finished:
        raise Conflict(f"run {run.id!r} goes on; stop it first")
    await call.propose(ForgetRuns([run.id]))
    return Answer(Message(id=run.id, message="Run deleted successfully"))


async def get_run_logs(call: Call) -> Answer | Stream:
    return await answer_logs(call, of_run(_run(call)))


_JOB = Subject("jobs", "name")
_RUN = Subject("runs", "run_id")


ROUTES = (
    Route(
        method="GET",
        path="/jobs",
        access=Access.VIEW,
        permission="jobs:read",
        handler=list_jobs,
        listing=Listing("jobs", JobItem),
    ),
    Route(
        method="POST",
        path="/jobs",
        access=Access.OPERATE,
        permission="jobs:create",
        handler=create,
        body=JobSpec,
        answer=JobAnswer,
        status=201,
    ),
    Route(
        method="GET",
        path="/jobs/{name}",
        access=Access.VIEW,
        permission="jobs:read",
        handler=get_job,
        answer=JobDetail,
        subject=_JOB,
    ),
    Route(
        method="PUT",
        path="/jobs/{name}",
        access=Access.OPERATE,
        permission="jobs:update",
        handler=update,
        body=JobSpec,
        answer=JobAnswer,
        subject=_JOB,
    ),
    Route(
        method="DELETE",
        path="/jobs/{name}",
        access=Access.OPERATE,
        permission="jobs:delete",
        handler=delete,
        answer=Message,
        subject=_JOB,
    ),
    Route(
        method="POST",
        path="/jobs/{name}/suspend",
        access=Access.OPERATE,
        permission="jobs:update",
        handler=suspend,
        answer=JobAnswer,
        subject=_JOB,
    ),
    Route(
        method="POST",
        path="/jobs/{name}/resume",
        access=Access.OPERATE,
        permission="jobs:update",
        handler=resume,
        answer=JobAnswer,
        subject=_JOB,
    ),
    Route(
        method="POST",
        path="/jobs/{name}/trigger",
        access=Access.OPERATE,
        permission="jobs:update",
        handler=trigger,
        answer=JobAnswer,
        status=201,
        subject=_JOB,
    ),
    Route(
        method="GET",
        path="/jobs/{name}/runs",
        access=Access.VIEW,
        permission="jobs:read",
        handler=list_runs,
        owner=_JOB,
        listing=Listing("runs", RunItem),
    ),
    Route(
        method="GET",
        path="/jobs/{name}/runs/{run_id}",
        access=Access.VIEW,
        permission="jobs:read",
        handler=get_run,
        answer=RunDetail,
        subject=_RUN,
    ),
    Route(
        method="POST",
        path="/jobs/{name}/runs/{run_id}/stop",
        access=Access.OPERATE,
        permission="jobs:update",
        handler=stop_run,
        answer=Message,
        subject=_RUN,
    ),
    Route(
        method="DELETE",
        path="/jobs/{name}/runs/{run_id}",
        access=Access.OPERATE,
        permission="jobs:delete",
        handler=forget_run,
        answer=Message,
        subject=_RUN,
    ),
    Route(
        method="GET",
        path="/jobs/{name}/runs/{run_id}/logs",
        access=Access.VIEW,
        permission="logs:read",
        handler=get_run_logs,
        owner=_RUN,
        parameters=LOG_PARAMETERS,
        answer=LogsAnswer,
        streams=("text/plain", "text/event-stream"),
    ),
)
