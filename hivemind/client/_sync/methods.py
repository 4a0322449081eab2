# Made from _async by scripts/sync_client.py; change it there.
"""The API's operations as methods, in the order of the reference.

Lists take `limit`, `offset`, `sort`, `order`, and any scalar field as a filter. All raise as `request` does, and
UnexpectedAnswer where the server's version has another answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from urllib.parse import quote

from consensus.model.app import AppSpec
from hivemind.client import models
from hivemind.client._sync.transport import SyncTransport
from hivemind.client.answers import page_of, typed
from hivemind.client.credentials import Token
from hivemind.client.models import Done, Page, Scalar

T = TypeVar("T")


class SyncMethods(SyncTransport):
    """What users call."""

    # -- any operation, untyped

    def get(self, path: str, **params: Scalar) -> Any:
        return (self.request("GET", path, params=params)).data

    def post(self, path: str, body: Any = None) -> Any:
        return (self.request("POST", path, body=body)).data

    def put(self, path: str, body: Any = None) -> Any:
        return (self.request("PUT", path, body=body)).data

    def delete(self, path: str, **params: Scalar) -> Any:
        return (self.request("DELETE", path, params=params)).data

    def _list(self, path: str, key: str, kind: type[T], query: Mapping[str, Scalar]) -> Page[T]:
        return page_of(self.get(path, **query), key, kind)

    # -- containers

    def containers(self, **query: Scalar) -> Page[models.Container]:
        """Filters are `status`, `node`, `app`, and any field."""
        return self._list("/containers", "containers", models.Container, query)

    def container(self, container_id: str) -> models.ContainerDetail:
        return typed(self.get(f"/containers/{_part(container_id)}"), models.ContainerDetail)

    def logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """`since` and `until` are RFC 3339 or unix seconds."""
        path = f"/containers/{_part(container_id)}/logs"
        return str((self.get(path, tail=tail, since=since, until=until))["logs"])

    def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractContextManager[Iterator[str]]:
        """The lines as they are written."""
        return self.lines(f"/containers/{_part(container_id)}/logs", follow=True, tail=tail, since=since)

    def stats(self, container_id: str) -> models.Stats:
        return typed(self.get(f"/containers/{_part(container_id)}/stats"), models.Stats)

    # -- apps

    def deploy(self, app: Mapping[str, Any] | AppSpec) -> models.Deployed:
        """`app` is the body of ``POST /deploy``: a mapping, or an AppSpec."""
        return typed(self.post("/deploy", app), models.Deployed)

    def apps(self, **query: Scalar) -> Page[models.App]:
        return self._list("/apps", "apps", models.App, query)

    def app(self, name: str) -> models.AppDetail:
        return typed(self.get(f"/apps/{_part(name)}"), models.AppDetail)

    def scale(self, name: str, replicas: int) -> models.Scaled:
        return typed(self.post("/scale", {"name": name, "replicas": replicas}), models.Scaled)

    def restart(self, name: str) -> Done:
        return typed(self.post("/restart", {"name": name}), Done)

    def delete_app(self, name: str) -> Done:
        return typed(self.delete(f"/apps/{_part(name)}"), Done)

    def update_app(self, app: Mapping[str, Any] | AppSpec) -> models.Updated:
        """`app` is all of what it shall be, as for `deploy`; it is rolled out."""
        name = app["name"] if isinstance(app, Mapping) else app.name
        return typed(self.put(f"/apps/{_part(name)}", app), models.Updated)

    def app_history(self, name: str, **query: Scalar) -> Page[models.Revision]:
        return self._list(f"/apps/{_part(name)}/history", "revisions", models.Revision, query)

    def rollback_app(
        self, name: str, *, to: int | None = None, strategy: Mapping[str, Any] | None = None
    ) -> models.Updated:
        """`to`: a number of the app's history; by default the one before the present."""
        body = _given({"to": to, "strategy": strategy})
        return typed(self.post(f"/apps/{_part(name)}/rollback", body), models.Updated)

    def app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None, until: str | None = None
    ) -> str:
        """Of all its replicas, each line with its container's name."""
        return str((self.get(f"/apps/{_part(name)}/logs", tail=tail, since=since, until=until))["logs"])

    def follow_app_logs(
        self, name: str, *, tail: int | None = None, since: str | None = None
    ) -> AbstractContextManager[Iterator[str]]:
        """Also of the replicas that are made meanwhile."""
        return self.lines(f"/apps/{_part(name)}/logs", follow=True, tail=tail, since=since)

    def priority_classes(self, **query: Scalar) -> Page[models.PriorityClass]:
        return self._list("/priority-classes", "priority_classes", models.PriorityClass, query)

    def create_priority_class(self, name: str, value: int, *, description: str = "") -> Done:
        body = {"name": name, "value": value, "description": description}
        return typed(self.post("/priority-classes", body), Done)

    def delete_priority_class(self, name: str) -> Done:
        return typed(self.delete(f"/priority-classes/{_part(name)}"), Done)

    # -- deployments

    def deployments(self, **query: Scalar) -> Page[models.Deployment]:
        """Newest first. Filters are `status`, `app_name`, and any field."""
        return self._list("/deployments", "deployments", models.Deployment, query)

    def create_deployment(
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
        return typed(self.post("/deployments", body), models.DeploymentCreated)

    def deployment(self, deployment_id: str) -> models.Deployment:
        return typed(self.get(f"/deployments/{_part(deployment_id)}"), models.Deployment)

    def deployment_status(self, deployment_id: str) -> models.DeploymentProgress:
        return typed(self.get(f"/deployments/{_part(deployment_id)}/status"), models.DeploymentProgress)

    def execute_deployment(self, deployment_id: str) -> Done:
        return typed(self.post(f"/deployments/{_part(deployment_id)}/execute"), Done)

    def rollback_deployment(self, deployment_id: str) -> Done:
        return typed(self.post(f"/deployments/{_part(deployment_id)}/rollback"), Done)

    def promote_deployment(self, deployment_id: str, *, variant: str | None = None) -> Done:
        """`variant`: the winner of an A/B test."""
        body = _given({"variant": variant})
        return typed(self.post(f"/deployments/{_part(deployment_id)}/promote", body), Done)

    # -- services

    def services(self, **query: Scalar) -> Page[models.Service]:
        return self._list("/services", "services", models.Service, query)

    def service(self, name: str) -> models.Service:
        return typed(self.get(f"/services/{_part(name)}"), models.Service)

    def update_service(
        self, name: str, *, load_balancing_strategy: str | None = None, health_check: Mapping[str, Any] | None = None
    ) -> Done:
        """What is left out stays as it is."""
        body = _given({"load_balancing_strategy": load_balancing_strategy, "health_check": health_check})
        return typed(self.put(f"/services/{_part(name)}", body), Done)

    # -- volumes

    def volumes(self, **query: Scalar) -> Page[models.Volume]:
        return self._list("/volumes", "volumes", models.Volume, query)

    def volume(self, name: str) -> models.Volume:
        return typed(self.get(f"/volumes/{_part(name)}"), models.Volume)

    def create_volume(
        self, name: str, *, size: str | int | None = None, type: str = "local", labels: Mapping[str, str] = {}
    ) -> Done:
        body = {"name": name, "size": size, "type": type, "labels": dict(labels)}
        return typed(self.post("/volumes/create", body), Done)

    def delete_volume(self, name: str, *, force: bool = False) -> Done:
        """`force`: also while containers use it."""
        return typed(self.post("/volumes/delete", {"name": name, "force": force}), Done)

    # -- nodes

    def nodes(self, **query: Scalar) -> Page[models.Node]:
        return self._list("/nodes", "nodes", models.Node, query)

    def node(self, node_id: str) -> models.NodeDetail:
        return typed(self.get(f"/nodes/{_part(node_id)}"), models.NodeDetail)

    def set_maintenance(self, node_id: str, enable: bool, *, drain: bool = False) -> Done:
        body = {"enable": enable, "drain": drain}
        return typed(self.post(f"/nodes/{_part(node_id)}/maintenance", body), Done)

    def label_node(
        self, node_id: str, labels: Mapping[str, str], *, taints: Sequence[models.Taint] | None = None
    ) -> Done:
        """Replaces the labels set so before, and, where given, the taints."""
        body = {"labels": dict(labels), "taints": taints}
        return typed(self.put(f"/nodes/{_part(node_id)}/labels", body), Done)

    def remove_node(self, node_id: str, *, force: bool = False) -> Done:
        """`force`: also while it has containers."""
        return typed(self.delete(f"/nodes/{_part(node_id)}", force=force), Done)

    def leave(self, node_id: str) -> Done:
        """The node drains, leaves the cluster, and ends."""
        return typed(self.post(f"/nodes/{_part(node_id)}/leave"), Done)

    # -- health and the cluster

    def health(self) -> models.Health:
        return typed(self.get("/health"), models.Health)

    def container_health(self, container_id: str) -> models.ContainerHealthReport:
        return typed(self.get(f"/health/container/{_part(container_id)}"), models.ContainerHealthReport)

    def node_health(self, node_id: str) -> models.NodeHealthReport:
        return typed(self.get(f"/health/node/{_part(node_id)}"), models.NodeHealthReport)

    def cluster(self) -> models.Cluster:
        return typed(self.get("/cluster"), models.Cluster)

    def join_token(self) -> str:
        return str((self.get("/cluster/token"))["token"])

    def alerts(self, **query: Scalar) -> Page[models.Alert]:
        return self._list("/alerts", "alerts", models.Alert, query)

    def alert(self, alert_id: str) -> models.Alert:
        return typed(self.get(f"/alerts/{_part(alert_id)}"), models.Alert)

    def acknowledge_alert(self, alert_id: str) -> Done:
        """Somebody looks after it."""
        return typed(self.post(f"/alerts/{_part(alert_id)}/acknowledge"), Done)

    def remembered_events(
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
        return self._list("/events", "events", models.RememberedEvent, query)

    def metrics(self) -> str:
        """In Prometheus' text format."""
        return self.text("/metrics")

    # -- who may use it

    def login(self, username: str, password: str) -> models.Login:
        """From here on this client uses the token."""
        answer = typed(self.post("/auth/login", {"username": username, "password": password}), models.Login)
        self.credentials = Token(answer.token)
        return answer

    def logout(self) -> Done:
        """Revokes the token."""
        return typed(self.post("/auth/logout"), Done)

    def api_keys(self, **query: Scalar) -> Page[models.ApiKey]:
        return self._list("/auth/api-keys", "api_keys", models.ApiKey, query)

    def create_api_key(
        self, name: str, *, role: str | None = None, expires_at: str | None = None, expires_in: str | None = None
    ) -> models.ApiKey:
        """The answer's `key` is told this once. At most one of `expires_at` (RFC 3339) and `expires_in` (90d)."""
        body = {"name": name, "role": role, "expires_at": expires_at, "expires_in": expires_in}
        return typed(self.post("/auth/api-keys", body), models.ApiKey)

    def delete_api_key(self, key_id: str) -> Done:
        return typed(self.delete(f"/auth/api-keys/{_part(key_id)}"), Done)

    def users(self, **query: Scalar) -> Page[models.User]:
        return self._list("/users", "users", models.User, query)

    def user(self, user_id: str) -> models.User:
        return typed(self.get(f"/users/{_part(user_id)}"), models.User)

    def create_user(self, username: str, password: str, *, role: str = "viewer") -> Done:
        body = {"username": username, "password": password, "role": role}
        return typed(self.post("/users", body), Done)

    def delete_user(self, user_id: str) -> Done:
        return typed(self.delete(f"/users/{_part(user_id)}"), Done)

    def set_password(self, user_id: str, password: str, *, current_password: str | None = None) -> Done:
        """`current_password` is needed for one's own."""
        body = {"password": password, "current_password": current_password}
        return typed(self.put(f"/users/{_part(user_id)}/password", body), Done)

    def set_role(self, user_id: str, role: str) -> Done:
        return typed(self.put(f"/users/{_part(user_id)}/role", {"role": role}), Done)

    def rotate_keys(self) -> Done:
        """New keys sign tokens from here on."""
        return typed(self.post("/auth/rotate-keys"), Done)

    def roles(self, **query: Scalar) -> Page[models.Role]:
        """Those that users defined, and the three that are always there."""
        return self._list("/roles", "roles", models.Role, query)

    def role(self, name: str) -> models.Role:
        return typed(self.get(f"/roles/{_part(name)}"), models.Role)

    def create_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        body = {"name": name, "permissions": permissions, "description": description}
        return typed(self.post("/roles", body), Done)

    def update_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        """Replaces what it was."""
        body = {"permissions": permissions, "description": description}
        return typed(self.put(f"/roles/{_part(name)}", body), Done)

    def delete_role(self, name: str) -> Done:
        return typed(self.delete(f"/roles/{_part(name)}"), Done)

    def groups(self, **query: Scalar) -> Page[models.Group]:
        return self._list("/groups", "groups", models.Group, query)

    def group(self, name: str) -> models.Group:
        return typed(self.get(f"/groups/{_part(name)}"), models.Group)

    def create_group(self, name: str, *, roles: Sequence[str] = (), members: Sequence[str] = ()) -> Done:
        body = {"name": name, "roles": roles, "members": members}
        return typed(self.post("/groups", body), Done)

    def update_group(self, name: str, roles: Sequence[str], members: Sequence[str]) -> Done:
        """Replaces what it was."""
        return typed(self.put(f"/groups/{_part(name)}", {"roles": roles, "members": members}), Done)

    def delete_group(self, name: str) -> Done:
        return typed(self.delete(f"/groups/{_part(name)}"), Done)

    def audit(self, **query: Scalar) -> Page[models.AuditRecord]:
        """Who did, or tried, what. Filters are `user_id`, `action`, `outcome`, and any field."""
        return self._list("/audit", "records", models.AuditRecord, query)

    # -- several at once

    def batch(
        self,
        operations: Sequence[models.Operation],
        *,
        atomic: bool = False,
    ) -> list[models.OperationResult]:
        """Each is answered on its own, in order. `atomic`: all of them, which must be changes, or none."""
        data = self.post("/batch", {"operations": operations, "atomic": atomic})
        return typed(data["results"], list[models.OperationResult])


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left out."""
    return {key: value for key, value in body.items() if value is not None}


def _part(text: str) -> str:
    """A variable in a path."""
    return quote(text, safe="")
