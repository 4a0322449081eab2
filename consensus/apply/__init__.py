"""What each command does to the State: pure functions `(draft, command) -> outcome`, a file per noun.

They never raise for what a user may do: they answer a Refusal, and the draft is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus import commands
from consensus.apply import (
    access,
    alert,
    app,
    batch,
    cluster,
    deployment,
    encryption,
    global_app,
    job,
    move,
    network_policy,
    node,
    priority,
    service,
    setting,
    subnets,
    task,
    user,
    volume,
)
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome

_APPLY: dict[type[commands.Command], Callable[[Draft, Any], AnyOutcome]] = {
    commands.FoundCluster: cluster.found,
    commands.RotateJoinSecret: cluster.rotate_join_secret,
    commands.RotateTokenKey: cluster.rotate_token_key,
    commands.RaiseFeatureLevel: cluster.raise_feature_level,
    commands.AddNode: node.add,
    commands.StartNode: node.start,
    commands.SetNodeStatus: node.set_status,
    commands.SetMaintenance: node.set_maintenance,
    commands.LabelNode: node.label,
    commands.ChangeNodeLabels: node.change_labels,
    commands.RemoveNode: node.remove,
    commands.EncryptOverlay: encryption.encrypt,
    commands.ReportPorts: node.report_ports,
    commands.ExtendOverlay: subnets.extend,
    commands.ReportOverlay: subnets.report,
    commands.DeployApp: app.deploy,
    commands.ScaleApp: app.scale,
    commands.PlaceGlobalApp: global_app.place,
    commands.RestartApp: app.restart,
    commands.DeleteApp: app.delete,
    commands.PlaceTasks: task.place,
    commands.CreateTasks: task.create,
    commands.RemoveTasks: task.remove,
    commands.RescheduleTasks: task.reschedule,
    commands.MoveTask: move.begin,
    commands.CancelMove: move.cancel,
    commands.ReportTasks: task.report,
    commands.CreateDeployment: deployment.create,
    commands.ExecuteDeployment: deployment.execute,
    commands.PromoteDeployment: deployment.promote,
    commands.RollbackDeployment: deployment.rollback,
    commands.AdvanceDeployment: deployment.advance,
    commands.EndStandby: deployment.end_standby,
    commands.CreateJob: job.create,
    commands.UpdateJob: job.update,
    commands.SuspendJob: job.suspend,
    commands.TriggerJob: job.trigger,
    commands.DeleteJob: job.delete,
    commands.ScheduleRun: job.schedule,
    commands.AttemptRun: job.attempt,
    commands.EndRun: job.end,
    commands.ForgetRuns: job.forget_runs,
    commands.CreatePriorityClass: priority.create,
    commands.DeletePriorityClass: priority.delete,
    commands.CreateVolume: volume.create,
    commands.BindVolume: volume.bind,
    commands.DeleteVolume: volume.delete,
    commands.CreateNetworkPolicy: network_policy.create,
    commands.UpdateNetworkPolicy: network_policy.update,
    commands.DeleteNetworkPolicy: network_policy.delete,
    commands.CreateService: service.create,
    commands.UpdateService: service.update,
    commands.SetSetting: setting.set_setting,
    commands.UnsetSetting: setting.unset,
    commands.DeleteService: service.delete,
    commands.CreateUser: user.create,
    commands.UpdateUser: user.update,
    commands.DeleteUser: user.delete,
    commands.CreateApiKey: user.create_api_key,
    commands.DeleteApiKey: user.delete_api_key,
    commands.RevokeToken: user.revoke_token,
    commands.CreateRole: access.create_role,
    commands.UpdateRole: access.update_role,
    commands.DeleteRole: access.delete_role,
    commands.CreateGroup: access.create_group,
    commands.UpdateGroup: access.update_group,
    commands.DeleteGroup: access.delete_group,
    commands.RecordAccess: access.record,
    commands.RaiseAlert: alert.raise_alert,
    commands.ResolveAlert: alert.resolve,
    commands.AcknowledgeAlert: alert.acknowledge,
    commands.Batch: lambda draft, command: batch.apply(draft, command, apply_command),
}


def apply_command(draft: Draft, command: commands.AnyCommand) -> AnyOutcome:
    """Writes what `command` does to `draft`. After a Refusal the draft must not be used."""
    return _APPLY[type(command)](draft, command)
