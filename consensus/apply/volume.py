"""Named volumes."""

from __future__ import annotations

from consensus.commands import CreateVolume, DeleteVolume
from consensus.draft import Draft
from consensus.model.volume import Volume
from consensus.model.workload import WorkloadSpec
from consensus.outcomes import AnyOutcome, Done, conflict, not_found


def provide_volumes(draft: Draft, spec: WorkloadSpec) -> None:
    """Those that `spec` mounts and nobody made."""
    for mount in spec.volumes:
        if mount.name not in draft.state.volumes:
            draft.put_volume(Volume(name=mount.name, created_at_s=draft.time_s))


def create(draft: Draft, command: CreateVolume) -> AnyOutcome:
    if command.volume.name in draft.state.volumes:
        return conflict(f"volume {command.volume.name!r} exists already")
    draft.put_volume(command.volume)
    return Done()


def delete(draft: Draft, command: DeleteVolume) -> AnyOutcome:
    if command.name not in draft.state.volumes:
        return not_found("volume", command.name)
    users = draft.state.volume_users(command.name)
    if users and not command.force:
        return conflict(f"volume {command.name!r} is used by {', '.join(task.id for task in users[:5])}")
    draft.delete_volume(command.name)
    return Done()
