"""What users call for deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, given, path_part
from hivemind.client.answers import typed
from hivemind.client.models import Done, Page, Scalar


class AsyncDeploymentMethods(AsyncOperations):
    """What users call for deployments."""

    async def deployments(self, **query: Scalar) -> Page[models.Deployment]:
        """Newest first. Filters are `status`, `app_name`, and any field."""
        return await self.list_of("/deployments", "deployments", models.Deployment, query)

    async def create_deployment(
        self,
        app_name: str,
        *,
        image: str | None = None,
        resolve_image: bool | None = None,
        replicas: int | None = None,
        strategy: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> models.DeploymentCreated:
        """Recorded, not begun. What is left out stays as the app has it.

        `resolve_image`: whether all replicas shall run what the registry has as `image` now; by default as the app.
        """
        change = {"image": image, "replicas": replicas, "environment": environment, "labels": labels}
        body = given({"app_name": app_name, "strategy": strategy, "resolve_image": resolve_image, **change})
        return typed(await self.post("/deployments", body), models.DeploymentCreated)

    async def deployment(self, deployment_id: str) -> models.Deployment:
        return typed(await self.get(f"/deployments/{path_part(deployment_id)}"), models.Deployment)

    async def deployment_status(self, deployment_id: str) -> models.DeploymentProgress:
        return typed(await self.get(f"/deployments/{path_part(deployment_id)}/status"), models.DeploymentProgress)

    async def execute_deployment(self, deployment_id: str) -> Done:
        return typed(await self.post(f"/deployments/{path_part(deployment_id)}/execute"), Done)

    async def rollback_deployment(self, deployment_id: str) -> Done:
        return typed(await self.post(f"/deployments/{path_part(deployment_id)}/rollback"), Done)

    async def promote_deployment(self, deployment_id: str, *, variant: str | None = None) -> Done:
        """`variant`: the winner of an A/B test."""
        body = given({"variant": variant})
        return typed(await self.post(f"/deployments/{path_part(deployment_id)}/promote", body), Done)
