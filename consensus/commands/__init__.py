"""Commands: the entries of the replicated log, a file per noun.

Each says what was decided, never how to find it out: apply reads no clock, no random and no network, so that every
node gets the same state from the same entries. Encoded as msgpack maps with a type tag; new fields get defaults.
"""

from __future__ import annotations

from consensus.commands.access import (
    CreateGroup,
    CreateRole,
    DeleteGroup,
    DeleteRole,
    RecordAccess,
    UpdateGroup,
    UpdateRole,
)
from consensus.commands.alert import AcknowledgeAlert, RaiseAlert, ResolveAlert
from consensus.commands.app import DeleteApp, DeployApp, PlaceGlobalApp, RestartApp, ScaleApp
from consensus.commands.backup import (
    BeginBackup,
    CreateBackupSchedule,
    DeleteBackupSchedule,
    EndBackup,
    TriggerBackup,
    UpdateBackupSchedule,
)
from consensus.commands.base import Command
from consensus.commands.cluster import FoundCluster, RaiseFeatureLevel, RotateJoinSecret, RotateTokenKey
from consensus.commands.deployment import (
    AdvanceDeployment,
    CreateDeployment,
    EndStandby,
    ExecuteDeployment,
    PromoteDeployment,
    RollbackDeployment,
)
from consensus.commands.job import (
    AttemptRun,
    CreateJob,
    DeleteJob,
    EndRun,
    ForgetRuns,
    ScheduleRun,
    SuspendJob,
    TriggerJob,
    UpdateJob,
)
from consensus.commands.move import CancelMove, MoveTask
from consensus.commands.network_policy import CreateNetworkPolicy, DeleteNetworkPolicy, UpdateNetworkPolicy
from consensus.commands.node import (
    AddNode,
    ChangeNodeLabels,
    LabelNode,
    RemoveNode,
    ReportPorts,
    SetMaintenance,
    SetNodeStatus,
    StartNode,
)
from consensus.commands.overlay import EncryptOverlay, ExtendOverlay, ReportOverlay
from consensus.commands.priority import CreatePriorityClass, DeletePriorityClass
from consensus.commands.service import CreateService, DeleteService, UpdateService
from consensus.commands.setting import SetSetting, UnsetSetting
from consensus.commands.task import (
    CreateTasks,
    Placement,
    PlaceTasks,
    RemoveTasks,
    ReportTasks,
    RescheduleTasks,
    TaskReport,
)
from consensus.commands.user import CreateApiKey, CreateUser, DeleteApiKey, DeleteUser, RevokeToken, UpdateUser
from consensus.commands.volume import BindVolume, CreateVolume, DeleteVolume


class Batch(Command, frozen=True):
    """All of `commands`, in order, or none of them. Batches do not nest."""

    commands: list[AnyCommand]


AnyCommand = (
    FoundCluster
    | RotateJoinSecret
    | RotateTokenKey
    | RaiseFeatureLevel
    | AddNode
    | StartNode
    | SetNodeStatus
    | SetMaintenance
    | LabelNode
    | ChangeNodeLabels
    | RemoveNode
    | EncryptOverlay
    | ReportPorts
    | ExtendOverlay
    | ReportOverlay
    | DeployApp
    | ScaleApp
    | PlaceGlobalApp
    | RestartApp
    | DeleteApp
    | PlaceTasks
    | CreateTasks
    | RemoveTasks
    | RescheduleTasks
    | MoveTask
    | CancelMove
    | ReportTasks
    | CreateDeployment
    | ExecuteDeployment
    | PromoteDeployment
    | RollbackDeployment
    | AdvanceDeployment
    | EndStandby
    | CreateJob
    | UpdateJob
    | SuspendJob
    | TriggerJob
    | DeleteJob
    | ScheduleRun
    | AttemptRun
    | EndRun
    | ForgetRuns
    | CreatePriorityClass
    | DeletePriorityClass
    | CreateVolume
    | BindVolume
    | DeleteVolume
    | CreateBackupSchedule
    | UpdateBackupSchedule
    | DeleteBackupSchedule
    | TriggerBackup
    | BeginBackup
    | EndBackup
    | CreateNetworkPolicy
    | UpdateNetworkPolicy
    | DeleteNetworkPolicy
    | CreateService
    | UpdateService
    | SetSetting
    | UnsetSetting
    | DeleteService
    | CreateUser
    | UpdateUser
    | DeleteUser
    | CreateApiKey
    | DeleteApiKey
    | RevokeToken
    | CreateRole
    | UpdateRole
    | DeleteRole
    | CreateGroup
    | UpdateGroup
    | DeleteGroup
    | RecordAccess
    | RaiseAlert
    | ResolveAlert
    | AcknowledgeAlert
    | Batch
)

__all__ = [
    "AcknowledgeAlert",
    "AddNode",
    "AdvanceDeployment",
    "AnyCommand",
    "AttemptRun",
    "Batch",
    "BeginBackup",
    "BindVolume",
    "CancelMove",
    "ChangeNodeLabels",
    "Command",
    "CreateApiKey",
    "CreateBackupSchedule",
    "CreateDeployment",
    "CreateGroup",
    "CreateJob",
    "CreateNetworkPolicy",
    "CreatePriorityClass",
    "CreateRole",
    "CreateService",
    "CreateTasks",
    "CreateUser",
    "CreateVolume",
    "DeleteApiKey",
    "DeleteApp",
    "DeleteBackupSchedule",
    "DeleteGroup",
    "DeleteJob",
    "DeleteNetworkPolicy",
    "DeletePriorityClass",
    "DeleteRole",
    "DeleteService",
    "DeleteUser",
    "DeleteVolume",
    "DeployApp",
    "EncryptOverlay",
    "EndBackup",
    "EndRun",
    "EndStandby",
    "ExecuteDeployment",
    "ExtendOverlay",
    "ForgetRuns",
    "FoundCluster",
    "LabelNode",
    "MoveTask",
    "PlaceGlobalApp",
    "PlaceTasks",
    "Placement",
    "PromoteDeployment",
    "RaiseAlert",
    "RaiseFeatureLevel",
    "RecordAccess",
    "RemoveNode",
    "RemoveTasks",
    "ReportOverlay",
    "ReportPorts",
    "ReportTasks",
    "RescheduleTasks",
    "ResolveAlert",
    "RestartApp",
    "RevokeToken",
    "RollbackDeployment",
    "RotateJoinSecret",
    "RotateTokenKey",
    "ScaleApp",
    "ScheduleRun",
    "SetMaintenance",
    "SetNodeStatus",
    "SetSetting",
    "StartNode",
    "SuspendJob",
    "TaskReport",
    "TriggerBackup",
    "TriggerJob",
    "UnsetSetting",
    "UpdateBackupSchedule",
    "UpdateGroup",
    "UpdateJob",
    "UpdateNetworkPolicy",
    "UpdateRole",
    "UpdateService",
    "UpdateUser",
]
