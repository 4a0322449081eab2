"""In which namespace things are, and which namespaces a command would touch.

What is in none (nodes, users, settings) belongs to the whole cluster: a permission for some namespaces does not reach
it.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus import commands
from consensus.model.access import ANY
from consensus.model.namespace import Reach
from consensus.outcomes import Refusal, RefusalCode
from consensus.state import State

TABLES = frozenset(
    {"apps", "jobs", "tasks", "services", "volumes", "backup_schedules", "deployments", "runs", "alerts"}
)
"""Whose rows may be in a namespace."""
_KINDS = {
    "container": "tasks",
    "app": "apps",
    "job": "jobs",
    "run": "runs",
    "service": "services",
    "volume": "volumes",
    "backup-schedule": "backup_schedules",
    "deployment": "deployments",
    "alert": "alerts",
}


def namespace_of(state: State, table: str, key: str) -> str | None:
    """None: there is no such row, or it is in no namespace."""
    row = getattr(state, table).get(key) if table in TABLES else None
    if row is None:
        return None
    match table:
        case "apps" | "jobs":
            return str(row.spec.namespace)
        case "tasks":
            return state.spec_of(row).namespace
        case "runs":
            return state.specs[row.owner, row.revision].namespace
        case "alerts":
            return namespace_of_resource(state, row.resource)
        case "backup_schedules":
            return namespace_of(state, "volumes", row.spec.volume)
    return str(row.namespace)


def namespace_of_resource(state: State, resource: str) -> str | None:
    """`resource` is as events name it: ``app/web``."""
    kind, _, key = resource.partition("/")
    return namespace_of(state, _KINDS.get(kind, ""), key)


def of_scope(state: State, scope: str) -> frozenset[str] | None:
    """The namespaces that a permission's scope means; None: everything. A tenant that there is not has none."""
    kind, _, name = scope.partition("/")
    if scope == ANY:
        return None
    return frozenset({name}) if kind == "namespace" else frozenset()


def beyond_reach(state: State, command: commands.AnyCommand, reach: Reach | None) -> Refusal | None:
    """Why who asks may not do what `command` does."""
    if reach is None:
        return None
    for namespace in touched(state, command):
        if namespace is None or namespace not in reach.namespaces:
            where = "everywhere" if namespace is None else f"in namespace/{namespace}"
            return Refusal(code=RefusalCode.DENIED, message=f"this needs permission {reach.permission} {where}")
    return None


def touched(state: State, command: commands.AnyCommand) -> Iterator[str | None]:
    """The namespaces of what `command` makes, changes or ends; None: of the whole cluster.

    Rows that are not there are in none: who applies the command will say so.
    """
    match command:
        case commands.DeployApp() | commands.CreateJob():
            yield command.spec.namespace
        case commands.UpdateJob():
            yield command.spec.namespace
            yield from _of(state, "jobs", command.spec.name)
        case commands.CreateDeployment():
            yield from _of(state, "apps", command.app)
            if command.change.spec is not None:
                yield command.change.spec.namespace
        case commands.CreateVolume():
            yield command.volume.namespace
            yield from _of(state, "volumes", command.volume.cloned_from or "")
        case commands.CreateBackupSchedule():
            yield from _of(state, "volumes", command.spec.volume)
        case commands.UpdateBackupSchedule():
            yield from _of(state, "volumes", command.spec.volume)
            yield from _of(state, "backup_schedules", command.spec.name)
        case commands.CreateService():
            yield command.namespace
        case commands.ForgetRuns():
            for run_id in command.run_ids:
                yield from _of(state, "runs", run_id)
        case _:
            table, field = _ROWS.get(type(command), ("", ""))
            if not table:
                yield None
            else:
                yield from _of(state, table, getattr(command, field))


_ROWS: dict[type[commands.Command], tuple[str, str]] = {
    commands.ScaleApp: ("apps", "name"),
    commands.RestartApp: ("apps", "name"),
    commands.DeleteApp: ("apps", "name"),
    commands.ExecuteDeployment: ("deployments", "deployment_id"),
    commands.PromoteDeployment: ("deployments", "deployment_id"),
    commands.RollbackDeployment: ("deployments", "deployment_id"),
    commands.SuspendJob: ("jobs", "name"),
    commands.TriggerJob: ("jobs", "name"),
    commands.DeleteJob: ("jobs", "name"),
    commands.EndRun: ("runs", "run_id"),
    commands.BindVolume: ("volumes", "name"),
    commands.DeleteVolume: ("volumes", "name"),
    commands.DeleteBackupSchedule: ("backup_schedules", "name"),
    commands.TriggerBackup: ("backup_schedules", "name"),
    commands.UpdateService: ("services", "name"),
    commands.DeleteService: ("services", "name"),
    commands.AcknowledgeAlert: ("alerts", "alert_id"),
}
"""Commands about one row: its table, and the field that is its key."""


def _of(state: State, table: str, key: str) -> Iterator[str | None]:
    if key in getattr(state, table):
        yield namespace_of(state, table, key)
