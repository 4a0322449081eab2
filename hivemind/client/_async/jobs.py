"""What users call for jobs and their runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from consensus.model.job import JobSpec
from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


def _run_path(job: str, run_id: str) -> str:
    return f"/jobs/{path_part(job)}/runs/{path_part(run_id)}"


class AsyncJobMethods(AsyncOperations):
    """What users call for jobs and their runs."""

    async def create_job(self, job: Mapping[str, Any] | JobSpec) -> models.JobAnswer:
        """`job` is the body of ``POST /jobs``: a mapping, or a JobSpec."""
        return typed(await self.post("/jobs", job), models.JobAnswer)

    async def update_job(self, job: Mapping[str, Any] | JobSpec) -> models.JobAnswer:
        """`job` is all of what it shall be, for the runs that begin from now on."""
        name = job["name"] if isinstance(job, Mapping) else job.name
        return typed(await self.put(f"/jobs/{path_part(name)}", job), models.JobAnswer)

    async def jobs(self, **query: Scalar) -> Page[models.Job]:
        return await self.list_of("/jobs", "jobs", models.Job, query)

    async def job(self, name: str) -> models.JobDetail:
        return typed(await self.get(f"/jobs/{path_part(name)}"), models.JobDetail)

    async def delete_job(self, name: str) -> Done:
        return typed(await self.delete(f"/jobs/{path_part(name)}"), Done)

    async def suspend_job(self, name: str) -> models.JobAnswer:
        return typed(await self.post(f"/jobs/{path_part(name)}/suspend"), models.JobAnswer)

    async def resume_job(self, name: str) -> models.JobAnswer:
        return typed(await self.post(f"/jobs/{path_part(name)}/resume"), models.JobAnswer)

    async def trigger_job(self, name: str) -> models.JobAnswer:
        """One run now."""
        return typed(await self.post(f"/jobs/{path_part(name)}/trigger"), models.JobAnswer)

    async def runs(self, job: str, **query: Scalar) -> Page[models.Run]:
        """Newest first."""
        return await self.list_of(f"/jobs/{path_part(job)}/runs", "runs", models.Run, query)

    async def run(self, job: str, run_id: str) -> models.RunDetail:
        return typed(await self.get(_run_path(job, run_id)), models.RunDetail)

    async def stop_run(self, job: str, run_id: str) -> Done:
        return typed(await self.post(f"{_run_path(job, run_id)}/stop"), Done)

    async def delete_run(self, job: str, run_id: str) -> Done:
        """One that is over, with what it wrote."""
        return typed(await self.delete(_run_path(job, run_id)), Done)

    async def run_logs(self, job: str, run_id: str, *, tail: int | None = None) -> str:
        """Of all its attempts, each line with its container's name."""
        return str((await self.get(f"{_run_path(job, run_id)}/logs", tail=tail))["logs"])

    def follow_run_logs(
        self, job: str, run_id: str, *, tail: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Also of attempts that are made meanwhile, until the run is over."""
        return self.lines(f"{_run_path(job, run_id)}/logs", follow=True, tail=tail)
