"""What the engine is asked for, by a volume's type. Pure.

Source: Docker's local volume driver (`docker volume create --opt type=… --opt o=… --opt device=…`, mount(8)).
"""

from __future__ import annotations

from collections.abc import Mapping

from consensus.model.volume import Volume
from consensus.model.workload import VolumeMount
from runtime.engine.base import Mount


def mount_of(mount: VolumeMount, volume: Volume | None, engine_name: str) -> Mount:
    """How a container mounts `volume`; None where the cluster has none (any more): a local one then."""
    read_only = mount.read_only or (volume is not None and volume.snapshot)
    match volume:
        case Volume(type="hostpath", path=str(path)):
            return Mount(kind="bind", source=path, target=mount.mount_path, read_only=read_only)
        case Volume(type="ephemeral"):
            return Mount(kind="tmpfs", source="", target=mount.mount_path, size_bytes=volume.size_bytes)
        case _:
            return Mount(kind="volume", source=engine_name, target=mount.mount_path, read_only=read_only)


def is_of_engine(volume: Volume | None) -> bool:
    """Whether the engine keeps a volume for it, which must be there before a container is made."""
    return volume is None or volume.type in ("local", "nfs", "network")


def driver_options(volume: Volume | None) -> Mapping[str, str]:
    """For the engine's local driver."""
    if volume is None:
        return {}
    if volume.type == "local":
        return {} if volume.size_bytes is None else {"size": str(volume.size_bytes)}
    options = f"addr={volume.server}"
    if volume.mount_options:
        options += f",{volume.mount_options}"
    device = f":{volume.path}" if volume.type == "nfs" else f"//{volume.server}{volume.path}"
    return {"type": volume.filesystem or "nfs", "o": options, "device": device}
