"""Named volumes."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import backup
from consensus.commands import BindVolume, CreateVolume, DeleteVolume
from consensus.draft import Draft
from consensus.model.task import Task
from consensus.model.volume import Volume
from consensus.model.workload import WorkloadSpec
from consensus.outcomes import AnyOutcome, Done, Refusal, conflict, invalid, not_found


def provide_volumes(draft: Draft, spec: WorkloadSpec) -> None:
    """Those that `spec` mounts and nobody made."""
    for mount in spec.volumes:
        if mount.name not in draft.state.volumes:
            draft.put_volume(Volume(name=mount.name, namespace=spec.namespace, created_at_s=draft.time_s))


def create(draft: Draft, command: CreateVolume) -> AnyOutcome:
    volume = command.volume
    if volume.name in draft.state.volumes:
        return conflict(f"volume {volume.name!r} exists already")
    if volume.node_id is not None and volume.node_id not in draft.state.nodes:
        return invalid(f"node: there is no node {volume.node_id!r}")
    draft.put_volume(volume)
    return Done()


def bind(draft: Draft, command: BindVolume) -> AnyOutcome:
    volume = draft.state.volumes.get(command.name)
    if volume is None:
        return not_found("volume", command.name)
    if command.node_id not in draft.state.nodes:
        return invalid(f"node: there is no node {command.node_id!r}")
    if volume.node_id != command.expected:
        return conflict(f"volume {volume.name!r} is on node {volume.node_id} by now")
    refusal = in_use(draft, volume.name)
    if refusal is None:
        draft.put_volume(replace(volume, node_id=command.node_id))
    return refusal or Done()


def bind_first(draft: Draft, task: Task) -> None:
    """The local volumes that nobody has mounted yet are where `task` is placed."""
    for mount in draft.state.spec_of(task).volumes:
        volume = draft.state.volumes.get(mount.name)
        if volume is not None and volume.type == "local" and volume.node_id is None:
            draft.put_volume(replace(volume, node_id=task.node_id))


def in_use(draft: Draft, name: str) -> Refusal | None:
    users = draft.state.volume_users(name)
    if not users:
        return None
    return conflict(f"volume {name!r} is used by {', '.join(task.id for task in users[:5])}")


def delete(draft: Draft, command: DeleteVolume) -> AnyOutcome:
    if command.name not in draft.state.volumes:
        return not_found("volume", command.name)
    refusal = None if command.force else in_use(draft, command.name)
    if refusal is None:
        backup.forget_of(draft, command.name)
        draft.delete_volume(command.name)
    return refusal or Done()
