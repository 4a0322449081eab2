"""What users ask for of jobs, and what the leader decides about them and their runs."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.job import JobSpec
from consensus.model.run import RunStatus


class CreateJob(Command, frozen=True):
    spec: JobSpec


class UpdateJob(Command, frozen=True):
    """A whole new spec, for runs that begin from now on."""

    spec: JobSpec


class SuspendJob(Command, frozen=True):
    """Whether the schedule rests. What goes on goes on; what was due meanwhile is not made up for."""

    name: str
    suspended: bool


class TriggerJob(Command, frozen=True):
    """By hand: one run now."""

    name: str


class DeleteJob(Command, frozen=True):
    """With its runs, and what they wrote."""

    name: str


class ScheduleRun(Command, frozen=True):
    """The leader's decision that an instant of the schedule has come; those before it are passed over.

    Each instant counts once, however often it is said. With `skip`, a reason, it is left out.
    """

    job: str
    scheduled_at_s: float
    skip: str = ""


class AttemptRun(Command, frozen=True):
    """New tasks for slots of a run that have neither a task at work nor one that ended well."""

    run_id: str
    slots: list[int]


class EndRun(Command, frozen=True):
    """It is over before its tasks are: they are stopped, and what they wrote is kept."""

    run_id: str
    status: RunStatus
    message: str


class ForgetRuns(Command, frozen=True):
    """Finished runs, with what their tasks wrote. Those that go on are passed over."""

    run_ids: list[str]
