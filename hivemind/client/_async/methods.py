"""The API's operations as methods, in the order of the reference.

Lists take `limit`, `offset`, `sort`, `order`, and any scalar field as a filter. All raise as `request` does, and
UnexpectedAnswer where the server's version has another answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from urllib.parse import quote

from consensus.model.app import AppSpec
from hivemind.client import models
from hivemind.client._async.transport import AsyncTransport
from hivemind.client.answers import page_of, typed
from hivemind.client.credentials import Token
from hivemind.client.models import Done, Page, Scalar

T = TypeVar("T")


class AsyncMethods(AsyncTransport):
    """What users call."""

    # -- any operation, untyped

    async def get(self, path: str, **params: Scalar) -> Any:
        return (await self.request("GET", path, params=params)).data

    async def post(self, path: str, body: Any = None) -> Any:
        return (await self.request("POST", path, body=body)).data

    async def put(self, path: str, body: Any = None) -> Any:
        return (await self.request("PUT", path, body=body)).data

    async def delete(self, path: str, **params: Scalar) -> Any:
        return (await self.request("DELETE", path, params=params)).data

    async def _list(self, path: str, key: str, kind: type[T], query: Mapping[str, Scalar]) -> Page[T]:
        return page_of(await self.get(path, **query), key, kind)

    # -- containers

    async def containers(self, **query: Scalar) -> Page[models.Container]:
        """Filters are `status`, `node`, `app`, and any field."""
        return await self._list("/containers", "containers", models.Container, query)

    async def container(self, container_id: str) -> models.ContainerDetail:
        return typed(await self.get(f"/containers/{_part(container_id)}"), models.ContainerDetail)

    async def logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """`since` and `until` are RFC 3339 or unix seconds."""
        path = f"/containers/{_part(container_id)}/logs"
        return str((await self.get(path, tail=tail, since=since, until=until))["logs"])

    def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """The lines as they are written."""
        return self.lines(f"/containers/{_part(container_id)}/logs", follow=True, tail=tail, since=since)

    async def stats(self, container_id: str) -> models.Stats:
        return typed(await self.get(f"/containers/{_part(container_id)}/stats"), models.Stats)

    # -- apps

    async def deploy(self, app: Mapping[str, Any] | AppSpec) -> models.Deployed:
        """`app` is the body of ``POST /deploy``: a mapping, or an AppSpec."""
        return typed(await self.post("/deploy", app), models.Deployed)

    async def apps(self, **query: Scalar) -> Page[models.App]:
        return await self._list("/apps", "apps", models.App, query)

    async def app(self, name: str) -> models.AppDetail:
        return typed(await self.get(f"/apps/{_part(name)}"), models.AppDetail)

    async def scale(self, name: str, replicas: int) -> models.Scaled:
        return typed(await self.post("/scale", {"name": name, "replicas": replicas}), models.Scaled)

    async def restart(self, name: str) -> Done:
        return typed(await self.post("/restart", {"name": name}), Done)

    async def delete_app(self, name: str) -> Done:
        return typed(await self.delete(f"/apps/{_part(name)}"), Done)

    async def update_app(self, app: Mapping[str, Any] | AppSpec) -> models.Updated:
        """`app` is all of what it shall be, as for `deploy`; it is rolled out."""
        name = app["name"] if isinstance(app, Mapping) else app.name
        return typed(await self.put(f"/apps/{_part(name)}", app), models.Updated)

    async def app_history(self, name: str, **query: Scalar) -> Page[models.Revision]:
        return await self._list(f"/apps/{_part(name)}/history", "revisions", models.Revision, query)

    async def rollback_app(
        self, name: str, *, to: int | None = None, strategy: Mapping[str, Any] | None = None
    ) -> models.Updated:
        """`to`: a number of the app's history; by default the one before the present."""
        body = _given({"to": to, "strategy": strategy})
        return typed(await self.post(f"/apps/{_part(name)}/rollback", body), models.Updated)

    async def app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """Of all its replicas, each line with its container's name."""
        return str((await self.get(f"/apps/{_part(name)}/logs", tail=tail, since=since, until=until))["logs"])

    def follow_app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Also of the replicas that are made meanwhile."""
        return self.lines(f"/apps/{_part(name)}/logs", follow=True, tail=tail, since=since)

    async def priority_classes(self, **query: Scalar) -> Page[models.PriorityClass]:
        return await self._list("/priority-classes", "priority_classes", models.PriorityClass, query)

    async def create_priority_class(self, name: str, value: int, *, description: str = "") -> Done:
        body = {"name": name, "value": value, "description": description}
        return typed(await self.post("/priority-classes", body), Done)

    async def delete_priority_class(self, name: str) -> Done:
        return typed(await self.delete(f"/priority-classes/{_part(name)}"), Done)

    # -- deployments

    async def deployments(self, **query: Scalar) -> Page[models.Deployment]:
        """Newest first. Filters are `status`, `app_name`, and any field."""
        return await self._list("/deployments", "deployments", models.Deployment, query)

    async def create_deployment(
        self,
        app_name: str,
        *,
        image: str | None = None,
        replicas: int | None = None,
        strategy: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> models.DeploymentCreated:
        """Recorded, not begun. What is left out stays as the app has it."""
        change = {"image": image, "replicas": replicas, "environment": environment, "labels": labels}
        body = _given({"app_name": app_name, "strategy": strategy, **change})
        return typed(await self.post("/deployments", body), models.DeploymentCreated)

    async def deployment(self, deployment_id: str) -> models.Deployment:
        return typed(await self.get(f"/deployments/{_part(deployment_id)}"), models.Deployment)

    async def deployment_status(self, deployment_id: str) -> models.DeploymentProgress:
        return typed(await self.get(f"/deployments/{_part(deployment_id)}/status"), models.DeploymentProgress)

    async def execute_deployment(self, deployment_id: str) -> Done:
        return typed(await self.post(f"/deployments/{_part(deployment_id)}/execute"), Done)

    async def rollback_deployment(self, deployment_id: str) -> Done:
        return typed(await self.post(f"/deployments/{_part(deployment_id)}/rollback"), Done)

    async def promote_deployment(self, deployment_id: str, *, variant: str | None = None) -> Done:
        """`variant`: the winner of an A/B test."""
        body = _given({"variant": variant})
        return typed(await self.post(f"/deployments/{_part(deployment_id)}/promote", body), Done)

    # -- services

    async def services(self, **query: Scalar) -> Page[models.Service]:
        return await self._list("/services", "services", models.Service, query)

    async def service(self, name: str) -> models.Service:
        return typed(await self.get(f"/services/{_part(name)}"), models.Service)

    async def update_service(
        self, name: str, *, load_balancing_strategy: str | None = None, health_check: Mapping[str, Any] | None = None
    ) -> Done:
        """What is left out stays as it is."""
        body = _given({"load_balancing_strategy": load_balancing_strategy, "health_check": health_check})
        return typed(await self.put(f"/services/{_part(name)}", body), Done)

    # -- volumes

    async def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return await self._list("/volumes", "volumes", models.Volume, query)

    async def volume(self, name: str) -> models.Volume:
        return typed(await self.get(f"/volumes/{_part(name)}"), models.Volume)

    async def create_volume(
        self, name: str, *, size: str | int | None = None, type: str = "local", labels: Mapping[str, str] = {}
    ) -> Done:
        body = {"name": name, "size": size, "type": type, "labels": dict(labels)}
        return typed(await self.post("/volumes/create", body), Done)

    async def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(await self.post("/volumes/delete", {"name": name, "force": force}), Done)

    # -- nodes

    async def nodes(self, **query: Scalar) -> Page[models.Node]:
        return await self._list("/nodes", "nodes", models.Node, query)

    async def node(self, node_id: str) -> models.NodeDetail:
        return typed(await self.get(f"/nodes/{_part(node_id)}"), models.NodeDetail)

    async def set_maintenance(self, node_id: str, enable: bool, *, drain: bool = False) -> Done:
        body = {"enable": enable, "drain": drain}
        return typed(await self.post(f"/nodes/{_part(node_id)}/maintenance", body), Done)

    async def label_node(
        self, node_id: str, labels: Mapping[str, str], *, taints: Sequence[models.Taint] | None = None
    ) -> Done:
        """Replaces the labels set so before, and, where given, the taints."""
        body = {"labels": dict(labels), "taints": taints}
        return typed(await self.put(f"/nodes/{_part(node_id)}/labels", body), Done)

    async def remove_node(self, node_id: str, *, force: bool = False) -> Done:
        """`force`: also while it has containers."""
        return typed(await self.delete(f"/nodes/{_part(node_id)}", force=force), Done)

    async def leave(self, node_id: str) -> Done:
        """The node drains, leaves the cluster, and ends."""
        return typed(await self.post(f"/nodes/{_part(node_id)}/leave"), Done)

    # -- health and the cluster

    async def health(self) -> models.Health:
        return typed(await self.get("/health"), models.Health)

    async def container_health(self, container_id: str) -> models.ContainerHealthReport:
        return typed(await self.get(f"/health/container/{_part(container_id)}"), models.ContainerHealthReport)

    async def node_health(self, node_id: str) -> models.NodeHealthReport:
        return typed(await self.get(f"/health/node/{_part(node_id)}"), models.NodeHealthReport)

    async def cluster(self) -> models.Cluster:
        return typed(await self.get("/cluster"), models.Cluster)

    async def join_token(self) -> str:
        return str((await self.get("/cluster/token"))["token"])

    async def alerts(self, **query: Scalar) -> Page[models.Alert]:
        return await self._list("/alerts", "alerts", models.Alert, query)

    async def alert(self, alert_id: str) -> models.Alert:
        return typed(await self.get(f"/alerts/{_part(alert_id)}"), models.Alert)

    async def acknowledge_alert(self, alert_id: str) -> Done:
        """Somebody looks after it."""
        return typed(await self.post(f"/alerts/{_part(alert_id)}/acknowledge"), Done)

    async def remembered_events(
        self,
        *,
        types: Sequence[str] = (),
        resources: Sequence[str] = (),
        since: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Page[models.RememberedEvent]:
        """Oldest first; without `since` and `offset` the newest of them. `events` goes on from there."""
        filters = {"types": ",".join(types) or None, "resources": ",".join(resources) or None, "since": since}
        query = {**filters, "limit": limit, "offset": offset}
        return await self._list("/events", "events", models.RememberedEvent, query)

    async def metrics(self) -> str:
        """In Prometheus' text format."""
        return await self.text("/metrics")

    # -- who may use it

    async def login(self, username: str, password: str) -> models.Login:
        """From here on this client uses the token."""
        answer = typed(await self.post("/auth/login", {"username": username, "password": password}), models.Login)
        self.credentials = Token(answer.token)
        return answer

    async def logout(self) -> Done:
        """Revokes the token."""
        return typed(await self.post("/auth/logout"), Done)

    async def api_keys(self, **query: Scalar) -> Page[models.ApiKey]:
        return await self._list("/auth/api-keys", "api_keys", models.ApiKey, query)

    async def create_api_key(
        self, name: str, *, role: str | None = None, expires_at: str | None = None, expires_in: str | None = None
    ) -> models.ApiKey:
        """The answer's `key` is told this once. At most one of `expires_at` (RFC 3339) and `expires_in` (90d)."""
        body = {"name": name, "role": role, "expires_at": expires_at, "expires_in": expires_in}
        return typed(await self.post("/auth/api-keys", body), models.ApiKey)

    async def delete_api_key(self, key_id: str) -> Done:
        return typed(await self.delete(f"/auth/api-keys/{_part(key_id)}"), Done)

    async def users(self, **query: Scalar) -> Page[models.User]:
        return await self._list("/users", "users", models.User, query)

    async def user(self, user_id: str) -> models.User:
        return typed(await self.get(f"/users/{_part(user_id)}"), models.User)

    async def create_user(self, username: str, password: str, *, role: str = "viewer") -> Done:
        body = {"username": username, "password": password, "role": role}
        return typed(await self.post("/users", body), Done)

    async def delete_user(self, user_id: str) -> Done:
        return typed(await self.delete(f"/users/{_part(user_id)}"), Done)

    async def set_password(self, user_id: str, password: str, *, current_password: str | None = None) -> Done:
        """`current_password` is needed for one's own."""
        body = {"password": password, "current_password": current_password}
        return typed(await self.put(f"/users/{_part(user_id)}/password", body), Done)

    async def set_role(self, user_id: str, role: str) -> Done:
        return typed(await self.put(f"/users/{_part(user_id)}/role", {"role": role}), Done)

    async def rotate_keys(self) -> Done:
        """New keys sign tokens from here on."""
        return typed(await self.post("/auth/rotate-keys"), Done)

    async def roles(self, **query: Scalar) -> Page[models.Role]:
        """Those that users defined, and the three that are always there."""
        return await self._list("/roles", "roles", models.Role, query)

    async def role(self, name: str) -> models.Role:
        return typed(await self.get(f"/roles/{_part(name)}"), models.Role)

    async def create_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        body = {"name": name, "permissions": permissions, "description": description}
        return typed(await self.post("/roles", body), Done)

    async def update_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        """Replaces what it was."""
        body = {"permissions": permissions, "description": description}
        return typed(await self.put(f"/roles/{_part(name)}", body), Done)

    async def delete_role(self, name: str) -> Done:
        return typed(await self.delete(f"/roles/{_part(name)}"), Done)

    async def groups(self, **query: Scalar) -> Page[models.Group]:
        return await self._list("/groups", "groups", models.Group, query)

    async def group(self, name: str) -> models.Group:
        return typed(await self.get(f"/groups/{_part(name)}"), models.Group)

    async def create_group(self, name: str, *, roles: Sequence[str] = (), members: Sequence[str] = ()) -> Done:
        body = {"name": name, "roles": roles, "members": members}
        return typed(await self.post("/groups", body), Done)

    async def update_group(self, name: str, roles: Sequence[str], members: Sequence[str]) -> Done:
        """Replaces what it was."""
        return typed(await self.put(f"/groups/{_part(name)}", {"roles": roles, "members": members}), Done)

    async def delete_group(self, name: str) -> Done:
        return typed(await self.delete(f"/groups/{_part(name)}"), Done)

    async def audit(self, **query: Scalar) -> Page[models.AuditRecord]:
        """Who did, or tried, what. Filters are `user_id`, `action`, `outcome`, and any field."""
        return await self._list("/audit", "records", models.AuditRecord, query)

    # -- several at once

    async def batch(
        self,
        operations: Sequence[models.Operation],
        *,
        atomic: bool = False,
    ) -> list[models.OperationResult]:
        """Each is answered on its own, in order. `atomic`: all of them, which must be changes, or none."""
        data = await self.post("/batch", {"operations": operations, "atomic": atomic})
        return typed(data["results"], list[models.OperationResult])


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left out."""
    return {key: value for key, value in body.items() if value is not None}


def _part(text: str) -> str:
    """A variable in a path."""
    return quote(text, safe="")
