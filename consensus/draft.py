"""A draft: the next State in the making while one command is applied.

The apply functions write to a draft; where they refuse, the draft is thrown away and the old State stands. It keeps
the indexes in step with the tables, and collects the events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from immutables import Map

from consensus.entry import CommandId
from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.audit import REMEMBERED, AuditNote, AuditRecord
from consensus.model.backup import BackupSchedule
from consensus.model.cluster import Cluster
from consensus.model.deployment import Deployment
from consensus.model.event import Event, EventPosition, EventType
from consensus.model.job import Job
from consensus.model.move import Move
from consensus.model.network_policy import NetworkPolicy
from consensus.model.node import Node, RemovedNode
from consensus.model.origin import OnceRecord
from consensus.model.priority import PriorityClass
from consensus.model.run import Run
from consensus.model.service import Service
from consensus.model.setting import Setting
from consensus.model.task import Task
from consensus.model.user import ApiKey, RevokedToken, User
from consensus.model.volume import Volume
from consensus.namespaces import namespace_of_resource
from consensus.state import State
from consensus.timestamp import iso_utc

K = TypeVar("K")
REMEMBERED_DEPLOYMENTS = 1000
TOMBSTONE_S = 100 * 24 * 3600.0
"""How long a removed node is remembered: longer than its certificate lasts."""
MAX_ONCE = 4096
"""Idempotency keys that are remembered; at least half of them at any time."""


def _with_member(index: Map[K, Map[str, None]], key: K, member: str) -> Map[K, Map[str, None]]:
    return index.set(key, index.get(key, Map()).set(member, None))


def _without_member(index: Map[K, Map[str, None]], key: K, member: str) -> Map[K, Map[str, None]]:
    rest = index[key].delete(member)
    return index.set(key, rest) if rest else index.delete(key)


def _index_of(task: Task) -> str:
    if task.node_id is None:
        return "unplaced_task_ids"
    return "ended_task_ids_by_node" if task.ended else "task_ids_by_node"


class Draft:
    """Reads go to `state`, which always is the draft's newest State; writes through the methods.

    `touched_apps` are the names of the apps and jobs of which the noun itself, a task or a run was written; `written`
    are all rows that were, as (table, key): the fingerprint needs to know.
    """

    def __init__(self, state: State, *, index: int, time_s: float, command_id: CommandId) -> None:
        self.state = state
        self.index = index
        self.time_s = time_s
        self.events: list[Event] = []
        self.touched_apps: set[str] = set()
        self.written: dict[tuple[str, Any], None] = {}
        self._base = state
        self._command_id = command_id
        self._minted = 0
        self._timestamp = iso_utc(time_s)

    def again(self) -> Draft:
        """A new draft from where this one began."""
        return Draft(self._base, index=self.index, time_s=self.time_s, command_id=self._command_id)

    def mint(self) -> str:
        """Ten hex digits, unique for all time and the same on every node: made from the command's id."""
        self._minted += 1
        seed = f"{self._command_id.session}/{self._command_id.number}/{self._minted}"
        return hashlib.sha256(seed.encode()).hexdigest()[:10]

    def emit(self, event_type: EventType, resources: list[str], **data: Any) -> None:
        self.events.append(
            Event(
                position=EventPosition(self.index, len(self.events)),
                type=event_type,
                resources=resources,
                data={**data, "timestamp": self._timestamp},
                namespace=self._namespace_of(resources),
            )
        )

    def _namespace_of(self, resources: list[str]) -> str | None:
        """Of what is deleted, as it was before."""
        for resource in resources:
            for state in (self.state, self._base):
                namespace = namespace_of_resource(state, resource)
                if namespace is not None:
                    return namespace
        return None

    def _put(self, table: str, key: Any, row: Any, **indexes: Any) -> None:
        """The one way to write a row of a table, with the indexes that follow from it."""
        self.written[table, key] = None
        changes = {table: getattr(self.state, table).set(key, row), **indexes}
        self.state = msgspec.structs.replace(self.state, **changes)

    def _delete(self, table: str, key: Any, **indexes: Any) -> None:
        """The one way to delete a row. Raises KeyError where there is none."""
        self.written[table, key] = None
        changes = {table: getattr(self.state, table).delete(key), **indexes}
        self.state = msgspec.structs.replace(self.state, **changes)

    def put_cluster(self, cluster: Cluster) -> None:
        self.written["cluster", ""] = None
        self.state = msgspec.structs.replace(self.state, cluster=cluster)

    def put_node(self, node: Node) -> None:
        if node.id in self.state.removed_nodes:
            self._delete("removed_nodes", node.id)
        self._put("nodes", node.id, node)

    def delete_node(self, node_id: str) -> None:
        """Leaves a tombstone, until a node of that id is put again or it is older than any certificate."""
        for old in [r.id for r in self.state.removed_nodes.values() if r.removed_at_s <= self.time_s - TOMBSTONE_S]:
            self._delete("removed_nodes", old)
        self._put("removed_nodes", node_id, RemovedNode(node_id, self.time_s))
        self._delete("nodes", node_id)

    def forget_removed_node(self, node_id: str) -> None:
        """As if it had never been a member."""
        self._delete("removed_nodes", node_id)

    def put_task(self, task: Task) -> None:
        self.touched_apps.add(task.app)
        state = self.state
        old = state.tasks.get(task.id)
        changes: dict[str, Any] = {}
        if old is None:
            changes["task_ids_by_app"] = _with_member(state.task_ids_by_app, task.app, task.id)
        if old is None or old.node_id != task.node_id or old.ended is not task.ended:
            if old is not None:
                changes |= self._unplaced(old)
            index = _index_of(task)
            known = changes.get(index, getattr(state, index))
            if task.node_id is None:
                changes[index] = known.set(task.id, None)
            else:
                changes[index] = _with_member(known, task.node_id, task.id)
        self._put("tasks", task.id, task, **changes)

    def _unplaced(self, task: Task) -> dict[str, Any]:
        """The index in which it is found by its place, without it."""
        index = _index_of(task)
        known = getattr(self.state, index)
        if task.node_id is None:
            return {index: known.delete(task.id)}
        return {index: _without_member(known, task.node_id, task.id)}

    def delete_task(self, task: Task) -> None:
        self.touched_apps.add(task.app)
        self._delete(
            "tasks",
            task.id,
            task_ids_by_app=_without_member(self.state.task_ids_by_app, task.app, task.id),
            **self._unplaced(task),
        )
        if task.id in self.state.moves:
            self._delete("moves", task.id)
        self._forget_unused_spec(task.app, task.revision)

    def put_move(self, move: Move) -> None:
        self._put("moves", move.task_id, move)

    def put_app(self, app: App) -> None:
        """Stores `app` and what it publishes."""
        self.touched_apps.add(app.name)
        old = self.state.apps.get(app.name)
        ports = self.state.app_by_host_port
        for key in () if old is None else old.spec.published_ports:
            ports = ports.delete(key)
        for key in app.spec.published_ports:
            ports = ports.set(key, app.name)
        changing = self.state.changing_apps
        if app.rollout or app.standby:
            changing = changing.set(app.name, None)
        elif app.name in changing:
            changing = changing.delete(app.name)
        by_service = self.state.apps_by_service
        if old is None or old.service_name != app.service_name:
            if old is not None:
                by_service = _without_member(by_service, old.service_name, app.name)
            by_service = _with_member(by_service, app.service_name, app.name)
        indexes = {"app_by_host_port": ports, "apps_by_service": by_service, "changing_apps": changing}
        self._put("apps", app.name, app, **indexes)

    def put_spec(self, spec: AppSpec) -> int:
        """Stores `spec` for tasks to refer to; returns its revision: the log index.

        An entry that stores several specs of one app has the others counted below zero, where no log index is.
        """
        revision, number = self.index, 0
        while (spec.name, revision) in self.state.specs:
            number += 1
            revision = -(self.index * 64 + number)
        self._put("specs", (spec.name, revision), spec)
        return revision

    def change_spec(self, revision: int, spec: AppSpec) -> None:
        """Stores `spec` in the place of the one at `revision`, that differs in nothing that replicas are made of."""
        self._put("specs", (spec.name, revision), spec)

    def forget_unused_specs(self, app: str, revisions: Iterable[int]) -> None:
        for revision in revisions:
            if (app, revision) in self.state.specs:
                self._forget_unused_spec(app, revision)

    def delete_app(self, app: App) -> None:
        self.touched_apps.add(app.name)
        ports = self.state.app_by_host_port
        for key in app.spec.published_ports:
            ports = ports.delete(key)
        changing = self.state.changing_apps
        if app.name in changing:
            changing = changing.delete(app.name)
        by_service = _without_member(self.state.apps_by_service, app.service_name, app.name)
        indexes = {"app_by_host_port": ports, "apps_by_service": by_service, "changing_apps": changing}
        self._delete("apps", app.name, **indexes)
        for name, revision in [key for key in self.state.specs if key[0] == app.name]:
            self._forget_unused_spec(name, revision)

    def _forget_unused_spec(self, app: str, revision: int) -> None:
        current = self.state.apps.get(app)
        if current is not None and self._spec_is_kept(current, revision):
            return
        job = self.state.jobs.get(app)
        if (job is not None and job.revision == revision) or self._runs_by(app, revision):
            return
        if all(self.state.tasks[i].revision != revision for i in self.state.task_ids_by_app.get(app, Map())):
            self._delete("specs", (app, revision))

    def _spec_is_kept(self, app: App, revision: int) -> bool:
        if revision == app.revision or any(entry.revision == revision for entry in app.history):
            return True
        if app.standby is not None and app.standby.revision == revision:
            return True
        deployment = self.state.deployment_of(app)
        return deployment is not None and revision in (deployment.old_revision, *deployment.new_revisions)

    def _runs_by(self, owner: str, revision: int) -> bool:
        return any(self.state.runs[i].revision == revision for i in self.state.run_ids_by_owner.get(owner, Map()))

    def put_job(self, job: Job) -> None:
        self.touched_apps.add(job.name)
        self._put("jobs", job.name, job)

    def delete_job(self, job: Job) -> None:
        self.touched_apps.add(job.name)
        self._delete("jobs", job.name)
        self.forget_unused_specs(job.name, [job.revision])

    def put_run(self, run: Run) -> None:
        self.touched_apps.add(run.owner)
        by_owner = self.state.run_ids_by_owner
        if run.id not in self.state.runs:
            by_owner = _with_member(by_owner, run.owner, run.id)
        self._put("runs", run.id, run, run_ids_by_owner=by_owner)

    def delete_run(self, run: Run) -> None:
        self.touched_apps.add(run.owner)
        by_owner = _without_member(self.state.run_ids_by_owner, run.owner, run.id)
        self._delete("runs", run.id, run_ids_by_owner=by_owner)
        self.forget_unused_specs(run.owner, [run.revision])

    def put_deployment(self, deployment: Deployment) -> None:
        """Forgets the oldest of REMEMBERED_DEPLOYMENTS finished ones; what goes on, or waits, crowds out none."""
        self._put("deployments", deployment.id, deployment)
        deployments = self.state.deployments
        if len(deployments) > REMEMBERED_DEPLOYMENTS:
            finished = [d for d in deployments.values() if d.status.finished]
            finished.sort(key=lambda d: (d.created_at_s, d.id))
            for old in finished[: max(0, len(finished) - REMEMBERED_DEPLOYMENTS)]:
                self._delete("deployments", old.id)

    def put_priority_class(self, priority_class: PriorityClass) -> None:
        self._put("priority_classes", priority_class.name, priority_class)

    def delete_priority_class(self, name: str) -> None:
        self._delete("priority_classes", name)

    def put_network_policy(self, policy: NetworkPolicy) -> None:
        self._put("network_policies", policy.name, policy)

    def delete_network_policy(self, name: str) -> None:
        self._delete("network_policies", name)

    def put_setting(self, setting: Setting) -> None:
        self._put("settings", setting.key, setting)

    def delete_setting(self, key: str) -> None:
        self._delete("settings", key)

    def put_service(self, service: Service) -> None:
        by_port, by_address = self._unindexed_service(service.name)
        for key in service.host_ports:
            by_port = by_port.set(key, service.name)
        if service.virtual_ip:
            by_address = by_address.set(service.virtual_ip, service.name)
        indexes = {"service_by_host_port": by_port, "service_by_address": by_address}
        self._put("services", service.name, service, **indexes)

    def delete_service(self, service: Service) -> None:
        by_port, by_address = self._unindexed_service(service.name)
        indexes = {"service_by_host_port": by_port, "service_by_address": by_address}
        self._delete("services", service.name, **indexes)

    def _unindexed_service(self, name: str) -> tuple[Map[tuple[int, str], str], Map[str, str]]:
        by_port, by_address = self.state.service_by_host_port, self.state.service_by_address
        old = self.state.services.get(name)
        if old is None:
            return by_port, by_address
        for key in old.host_ports:
            by_port = by_port.delete(key)
        return by_port, by_address.delete(old.virtual_ip) if old.virtual_ip else by_address

    def put_volume(self, volume: Volume) -> None:
        self._put("volumes", volume.name, volume)

    def delete_volume(self, name: str) -> None:
        self._delete("volumes", name)

    def put_backup_schedule(self, schedule: BackupSchedule) -> None:
        self._put("backup_schedules", schedule.name, schedule)

    def delete_backup_schedule(self, name: str) -> None:
        self._delete("backup_schedules", name)

    def put_user(self, user: User) -> None:
        self._put("users", user.id, user)

    def delete_user(self, user_id: str) -> None:
        self._delete("users", user_id)

    def put_api_key(self, key: ApiKey) -> None:
        self._put("api_keys", key.id, key)

    def delete_api_key(self, key_id: str) -> None:
        self._delete("api_keys", key_id)

    def put_revoked_token(self, token: RevokedToken) -> None:
        for old in [t.id for t in self.state.revoked_tokens.values() if t.expires_at_s <= self.time_s]:
            self._delete("revoked_tokens", old)
        self._put("revoked_tokens", token.id, token)

    def put_role(self, role: OwnRole) -> None:
        self._put("roles", role.name, role)

    def delete_role(self, name: str) -> None:
        self._delete("roles", name)

    def put_group(self, group: Group) -> None:
        self._put("groups", group.name, group)

    def delete_group(self, name: str) -> None:
        self._delete("groups", name)

    def add_audit_note(self, note: AuditNote) -> None:
        """Keeps the newest records."""
        number = self.state.next_audit_number
        told = {name: getattr(note, name) for name in AuditNote.__struct_fields__}
        record = AuditRecord(number=number, index=self.index, **told)
        self._put("audit", number, record, next_audit_number=number + 1)
        if number - REMEMBERED in self.state.audit:
            self._delete("audit", number - REMEMBERED)

    def put_once(self, record: OnceRecord) -> None:
        """Forgets the older half where there are too many."""
        known = self.state.once
        if len(known) >= MAX_ONCE:
            for old in sorted(known.values(), key=lambda r: (r.time_s, r.key))[: MAX_ONCE // 2]:
                self._delete("once", old.key)
        self._put("once", record.key, record)

    def put_alert(self, alert: Alert) -> None:
        self._put("alerts", alert.id, alert)

    def delete_alert(self, alert_id: str) -> None:
        self._delete("alerts", alert_id)
