# Made from _async by scripts/sync_client.py; change it there.
"""What users call for jobs and their runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from consensus.model.job import JobSpec
from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


def _run_path(job: str, run_id: str) -> str:
    return f"/jobs/{path_part(job)}/runs/{path_part(run_id)}"


class SyncJobMethods(SyncOperations):
    """What users call for jobs and their runs."""

    def create_job(self, job: Mapping[str, Any] | JobSpec) -> models.JobAnswer:
        """`job` is the body of ``POST /jobs``: a mapping, or a JobSpec."""
        return typed(self.post("/jobs", job), models.JobAnswer)

    def update_job(self, job: Mapping[str, Any] | JobSpec) -> models.JobAnswer:
        """`job` is all of what it shall be, for the runs that begin from now on."""
        name = job["name"] if isinstance(job, Mapping) else job.name
        return typed(self.put(f"/jobs/{path_part(name)}", job), models.JobAnswer)

    def jobs(self, **query: Scalar) -> Page[models.Job]:
        return self.list_of("/jobs", "jobs", models.Job, query)

    def job(self, name: str) -> models.JobDetail:
        return typed(self.get(f"/jobs/{path_part(name)}"), models.JobDetail)

    def delete_job(self, name: str) -> Done:
        return typed(self.delete(f"/jobs/{path_part(name)}"), Done)

    def suspend_job(self, name: str) -> models.JobAnswer:
        return typed(self.post(f"/jobs/{path_part(name)}/suspend"), models.JobAnswer)

    def resume_job(self, name: str) -> models.JobAnswer:
        return typed(self.post(f"/jobs/{path_part(name)}/resume"), models.JobAnswer)

    def trigger_job(self, name: str) -> models.JobAnswer:
        """One run now."""
        return typed(self.post(f"/jobs/{path_part(name)}/trigger"), models.JobAnswer)

    def runs(self, job: str, **query: Scalar) -> Page[models.Run]:
        """Newest first."""
        return self.list_of(f"/jobs/{path_part(job)}/runs", "runs", models.Run, query)

    def run(self, job: str, run_id: str) -> models.RunDetail:
        return typed(self.get(_run_path(job, run_id)), models.RunDetail)

    def stop_run(self, job: str, run_id: str) -> Done:
        return typed(self.post(f"{_run_path(job, run_id)}/stop"), Done)

    def delete_run(self, job: str, run_id: str) -> Done:
        """One that is over, with what it wrote."""
        return typed(self.delete(_run_path(job, run_id)), Done)

    def run_logs(self, job: str, run_id: str, *, tail: int | None = None) -> str:
        """Of all its attempts, each line with its container's name."""
        return str((self.get(f"{_run_path(job, run_id)}/logs", tail=tail))["logs"])

    def follow_run_logs(
        self, job: str, run_id: str, *, tail: int | None = None
    ) -> AbstractContextManager[Iterator[str]]:
        """Also of attempts that are made meanwhile, until the run is over."""
        return self.lines(f"{_run_path(job, run_id)}/logs", follow=True, tail=tail)
