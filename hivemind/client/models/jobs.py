"""Jobs and their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class JobAnswer(Struct, frozen=True, kw_only=True):
    """`run_id` and `container_ids`: of the run that began with it, where one did."""

    name: str
    message: str
    run_id: str | None = None
    container_ids: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Job(Struct, frozen=True, kw_only=True):
    """`skipped`: why the last instant of the schedule that was left out was."""

    name: str
    image: str
    created_at: datetime
    updated_at: datetime
    image_digest: str | None = None
    namespace: str = "default"
    schedule: str | None = None
    time_zone: str = "UTC"
    concurrency_policy: str = "allow"
    suspended: bool = False
    active_runs: int = 0
    last_run_id: str | None = None
    last_run_status: str | None = None
    last_run_at: datetime | None = None
    next_run_at: datetime | None = None
    skipped: str = ""


class JobDetail(Job, frozen=True, kw_only=True):
    """`spec` is a body of ``PUT /jobs/{name}``."""

    spec: dict[str, Any] = field(default_factory=dict)


class Run(Struct, frozen=True, kw_only=True):
    """`succeeded` of `completions` are done, `active` containers are at work, `failures` attempts were in vain."""

    id: str
    job: str
    number: int
    status: str
    started_at: datetime
    reason: str = ""
    message: str = ""
    scheduled_at: datetime | None = None
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    completions: int = 1
    succeeded: int = 0
    active: int = 0
    failures: int = 0


class RunContainer(Struct, frozen=True, kw_only=True):
    """One attempt; `index` counts the run's parts from 0."""

    id: str
    index: int
    status: str
    node_id: str | None = None
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RunDetail(Run, frozen=True, kw_only=True):
    containers: list[RunContainer] = field(default_factory=list)
