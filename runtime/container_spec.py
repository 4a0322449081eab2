"""From a task and its app's spec to what the engine is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from consensus.model.app_spec import AppSpec
from consensus.model.task import Task
from consensus.model.volume import Volume
from runtime import labels
from runtime.engine.base import ContainerPort, ContainerSpec, PortProtocol
from runtime.network.overlay.attachment import Attachment
from runtime.volumes.mounts import mount_of


def container_spec(
    task: Task,
    spec: AppSpec,
    attachment: Attachment | None,
    *,
    cluster_id: str,
    node_id: str,
    find_volume: Callable[[str], Volume | None],
) -> ContainerSpec:
    """The container of `task`. The user's labels are kept; ours win where names meet."""
    resources = spec.resources
    return ContainerSpec(
        name=labels.container_name(task.id),
        image=spec.pinned_image,
        command=None if spec.command is None else tuple(spec.command),
        args=None if spec.args is None else tuple(spec.args),
        env={**_run_env(task), **spec.env},
        labels={
            **spec.labels,
            **labels.own_labels(cluster_id, node_id),
            labels.APP: task.app,
            labels.TASK: task.id,
        },
        cpu_cores=resources.cpu or None,
        cpu_limit_cores=resources.cpu_limit,
        memory_bytes=resources.memory_bytes or None,
        memory_limit_bytes=resources.memory_limit_bytes,
        mounts=tuple(
            mount_of(mount, find_volume(mount.name), labels.volume_name(cluster_id, node_id, mount.name))
            for mount in spec.volumes
        ),
        ports=tuple(
            ContainerPort(container_port=port.container_port, protocol=cast(PortProtocol, port.protocol))
            for port in spec.ports
        ),
        network=None if attachment is None else attachment.network,
        dns=() if attachment is None else attachment.resolvers,
        stop_signal=spec.stop_signal or "SIGTERM",
        stop_grace_s=spec.stop_grace_period_s,
    )


def _run_env(task: Task) -> dict[str, str]:
    """What an attempt may want to know of itself: its run, and which of the run's parts it is, from 0."""
    return {"HIVEMIND_RUN": task.run, "HIVEMIND_RUN_INDEX": str(task.slot - 1)} if task.run else {}
