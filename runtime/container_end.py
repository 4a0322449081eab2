"""What the engine's last word says of the end of a container. Pure."""

from __future__ import annotations

from runtime.engine.base import ContainerState


def ended(container: ContainerState | None) -> bool:
    return container is not None and container.status in ("exited", "dead")


def ran_s(container: ContainerState) -> float:
    if container.started_at_s is None or container.finished_at_s is None:
        return 0.0
    return container.finished_at_s - container.started_at_s


def epitaph(container: ContainerState) -> str:
    if container.oom_killed:
        return "killed: it ran out of memory"
    if container.error:
        return container.error
    return "" if container.exit_code is None else f"exited with code {container.exit_code}"
