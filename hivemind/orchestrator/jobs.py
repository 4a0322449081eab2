"""Jobs by their schedule: an instant that has come makes a run, and the oldest finished runs are forgotten.

After a time without a leader only the last instant that was missed is made up for. That each counts once is seen to
where the command is applied, so two leaders may say the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.commands import ForgetRuns, ScheduleRun
from consensus.model.job import Job
from consensus.model.run import Run, RunStatus
from consensus.model.schedule import last_due_s, next_due_s
from consensus.state import State


def plan(state: State, names: Iterable[str], wall_s: float) -> list[ScheduleRun | ForgetRuns]:
    """For each of `names` that is a job. `wall_s` is Unix time."""
    commands: list[ScheduleRun | ForgetRuns] = []
    for name in sorted(names):
        job = state.jobs.get(name)
        if job is None:
            continue
        due = _due(job, wall_s)
        if due is not None:
            late_s = wall_s - due
            too_late = late_s > job.spec.starting_deadline_s
            commands.append(ScheduleRun(name, due, f"it was {late_s:.0f} s late" if too_late else ""))
        forgotten = _beyond_history(job, state.runs_of(name))
        if forgotten:
            commands.append(ForgetRuns([run.id for run in forgotten]))
    return commands


def _due(job: Job, wall_s: float) -> float | None:
    if job.spec.schedule is None or job.spec.suspended:
        return None
    return last_due_s(job.spec.schedule, job.spec.time_zone, job.scheduled_until_s, wall_s)


def _beyond_history(job: Job, runs: list[Run]) -> list[Run]:
    good = [run for run in runs if run.status is RunStatus.SUCCEEDED]
    bad = [run for run in runs if run.status.finished and run.status is not RunStatus.SUCCEEDED]
    kept = job.spec.history
    return [*good[: max(0, len(good) - kept.succeeded)], *bad[: max(0, len(bad) - kept.failed)]]


def due_s(job: Job) -> float:
    """When the next instant of its schedule comes, in Unix seconds; infinity where none does."""
    if job.spec.schedule is None or job.spec.suspended:
        return float("inf")
    return next_due_s(job.spec.schedule, job.spec.time_zone, job.scheduled_until_s)
