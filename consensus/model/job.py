"""Jobs: what shall run to its end, once or by a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import fields

from consensus.model.app_spec import AppSpec
from consensus.model.quantity import Duration, duration_s
from consensus.model.run import RunPolicy
from consensus.model.schedule import schedule_problems
from consensus.model.workload import WorkloadSpec, unreadable

MAX_COMPLETIONS = 1000
Count = Annotated[int, Meta(ge=1, le=MAX_COMPLETIONS)]
Kept = Annotated[int, Meta(ge=0, le=100)]


class KeptRuns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many finished runs are remembered, with what they wrote. Stopped ones count as failed."""

    succeeded: Kept = 3
    failed: Kept = 3


class JobSpec(WorkloadSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of ``POST /jobs``, stored and returned as it was given. Without `schedule` it runs once, now.

    Attributes:
        schedule: five fields of cron, six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.
        time_zone: the IANA name of the zone in which `schedule` is read.
        concurrency_policy: what becomes of a run that is due while another goes on: both run (allow), it is left out
            (forbid), or it takes the other's place (replace). With the last two, the first container of a run starts
            when those of the runs before have ended.
        starting_deadline: a run that is later than this, because there was no leader, is left out.
        timeout: for the whole run, with its retries, from its beginning; what it waited for others does not count.
    """

    kind: Literal["job"] = "job"
    schedule: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    concurrency_policy: Literal["allow", "forbid", "replace"] = "allow"
    starting_deadline: Duration | None = None
    suspended: bool = False
    completions: Count = 1
    parallelism: Count = 1
    backoff_limit: Annotated[int, Meta(ge=0, le=100)] = 6
    retry_delay: Duration = "10s"
    timeout: Duration | None = None
    history: KeptRuns = KeptRuns()

    @property
    def starting_deadline_s(self) -> float:
        return float("inf") if self.starting_deadline is None else duration_s(self.starting_deadline)

    @property
    def policy(self) -> RunPolicy:
        return RunPolicy(
            completions=self.completions,
            parallelism=self.parallelism,
            backoff_limit=self.backoff_limit,
            retry_delay_s=duration_s(self.retry_delay),
            timeout_s=None if self.timeout is None else duration_s(self.timeout),
        )

    @property
    def task_spec(self) -> AppSpec:
        """What the nodes are told of its tasks."""
        return AppSpec(replicas=0, **{field.name: getattr(self, field.name) for field in fields(WorkloadSpec)})

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        for name in ("starting_deadline", "retry_delay", "timeout"):
            if (value := getattr(self, name)) is not None:
                yield from unreadable(name, duration_s, value)
        if self.timeout in (0, 0.0):
            yield "timeout", "expected more than 0 seconds"
        if self.schedule is not None:
            yield from schedule_problems(self.schedule, self.time_zone)
        else:
            for name in ("time_zone", "concurrency_policy", "starting_deadline"):
                if getattr(self, name) != _DEFAULTS[name]:
                    yield name, "expected a schedule with it: without one the job runs once"


_DEFAULTS = {field.name: field.default for field in fields(JobSpec)}


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as the cluster keeps it.

    Attributes:
        revision: the log index at which its tasks' spec was stored.
        next_number: of its next run.
        scheduled_until_s: the schedule's instants up to this one, in Unix seconds, are dealt with.
        skipped: why the last instant that was left out was.
    """

    spec: JobSpec
    revision: int
    created_at_s: float
    updated_at_s: float
    next_number: int = 1
    scheduled_until_s: float = 0.0
    skipped: str = ""

    @property
    def name(self) -> str:
        return self.spec.name
