"""Volumes, and who uses them."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.quantity import Memory
from consensus.model.volume import Volume
from consensus.state import State
from consensus.timestamp import iso_utc


class VolumeItem(Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    size: Memory | None
    type: str
    labels: dict[str, str]
    created_at: str
    used_by: list[str]
    node_id: str | None
    path: str | None
    server: str | None
    filesystem: str | None
    mount_options: str | None
    without_quota: str
    cloned_from: str | None
    snapshot: bool


def users_by_volume(state: State) -> dict[str, list[str]]:
    """Task ids by the volume that they mount, in one pass."""
    users: dict[str, list[str]] = {}
    for task in state.tasks.values():
        for name in {mount.name for mount in state.spec_of(task).volumes}:
            users.setdefault(name, []).append(task.id)
    return users


def volume_item(volume: Volume, used_by: list[str]) -> VolumeItem:
    return VolumeItem(
        name=volume.name,
        namespace=volume.namespace,
        size=volume.size,
        type=volume.type,
        labels=volume.labels,
        created_at=iso_utc(volume.created_at_s),
        used_by=sorted(used_by),
        node_id=volume.node_id,
        path=volume.path,
        server=volume.server,
        filesystem=volume.filesystem,
        mount_options=volume.mount_options,
        without_quota=volume.without_quota,
        cloned_from=volume.cloned_from,
        snapshot=volume.snapshot,
    )
