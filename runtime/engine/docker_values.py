"""Between our values and the Engine API's documents. Pure.

Source: Engine API, ContainerCreate, ContainerInspect, ContainerStats, SystemEvents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consensus.model.image import ImageFound, repository
from runtime.engine.base import (
    ContainerSpec,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    CpuTime,
    EngineEvent,
    ImageRef,
    LogLine,
    Mount,
    PullProgress,
    VolumeState,
)
from runtime.engine.docker.multiplexed import Message
from runtime.engine.docker.times import unix_seconds

_STATUSES: Mapping[str, ContainerStatus] = {
    "created": "created",
    "running": "running",
    "paused": "paused",
    "restarting": "restarting",
    "removing": "exited",
    "exited": "exited",
    "stopped": "exited",
    "dead": "dead",
}
_SHARES_PER_CORE = 1024
_MIN_SHARES = 2


def container_config(spec: ContainerSpec) -> dict[str, Any]:
    """The body of POST /containers/create."""
    config: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": dict(spec.labels),
        "ExposedPorts": {f"{port.container_port}/{port.protocol}": {} for port in spec.ports},
        "StopSignal": spec.stop_signal,
        "StopTimeout": max(0, round(spec.stop_grace_s)),
        "HostConfig": _host_config(spec),
    }
    if spec.command is not None:
        config["Entrypoint"] = list(spec.command)
    if spec.args is not None:
        config["Cmd"] = list(spec.args)
    if spec.hostname:
        config["Hostname"] = spec.hostname
    if spec.user:
        config["User"] = spec.user
    if spec.workdir:
        config["WorkingDir"] = spec.workdir
    return config


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    host: dict[str, Any] = {
        # We restart ourselves: the cluster decides where, after what backoff, and whether at all.
        "RestartPolicy": {"Name": "no"},
        "Mounts": [_mount(mount) for mount in spec.mounts],
        "LogConfig": {
            "Type": "json-file",
            "Config": {
                "max-size": str(spec.log_rotation.max_bytes),
                "max-file": str(spec.log_rotation.max_files),
            },
        },
    }
    if spec.network:
        host["NetworkMode"] = spec.network
    if spec.dns:
        # The search domains of the machine mean nothing in the cluster, and double each question.
        host["Dns"], host["DnsSearch"] = list(spec.dns), ["."]
    if spec.cpu_cores is not None:
        host["CpuShares"] = max(_MIN_SHARES, round(spec.cpu_cores * _SHARES_PER_CORE))
    if spec.cpu_limit_cores is not None:
        host["NanoCpus"] = round(spec.cpu_limit_cores * 1_000_000_000)
    if spec.memory_limit_bytes is not None:
        # MemorySwap is memory and swap together: equal to Memory means no swap, so that the limit is one.
        host["Memory"] = host["MemorySwap"] = spec.memory_limit_bytes
    if spec.memory_bytes is not None:
        limit = spec.memory_limit_bytes
        host["MemoryReservation"] = spec.memory_bytes if limit is None else min(spec.memory_bytes, limit)
    if spec.pids_limit is not None:
        host["PidsLimit"] = spec.pids_limit
    return host


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.kind == "tmpfs":
        options = {} if mount.size_bytes is None else {"SizeBytes": mount.size_bytes}
        return {"Type": "tmpfs", "Target": mount.target, "TmpfsOptions": options}
    return {
        "Type": mount.kind,
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def container_state(document: Mapping[str, Any], engine_address: str) -> ContainerState:
    """From GET /containers/{id}/json; `engine_address` is where the engine's own network is reached."""
    state = document["State"]
    config = document["Config"]
    status = _STATUSES.get(state["Status"], "dead")
    started_at_s = unix_seconds(state["StartedAt"])
    ended = status in ("exited", "dead") or (status == "created" and bool(state.get("Error")))
    address = _address(document, engine_address) if status == "running" else None
    ports = [int(port.partition("/")[0]) for port in config.get("ExposedPorts") or {}]
    return ContainerState(
        engine_id=document["Id"],
        name=document["Name"].removeprefix("/"),
        image=config["Image"],
        labels=config.get("Labels") or {},
        status=status,
        created_at_s=unix_seconds(document["Created"]) or 0.0,
        exit_code=state["ExitCode"] if ended else None,
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        started_at_s=started_at_s,
        finished_at_s=unix_seconds(state["FinishedAt"]) if ended else None,
        address=address,
        address6=_address6(document) if address else None,
        port_map={port: port for port in ports} if address else {},
        pid=state.get("Pid") or None,
    )


def _address(document: Mapping[str, Any], engine_address: str) -> str | None:
    if document["HostConfig"].get("NetworkMode") == "host":
        return engine_address
    settings = document["NetworkSettings"]
    networks = (settings.get("Networks") or {}).values()
    candidates = [settings.get("IPAddress"), *(network.get("IPAddress") for network in networks)]
    return next((str(address) for address in candidates if address), None)


def _address6(document: Mapping[str, Any]) -> str | None:
    networks = (document["NetworkSettings"].get("Networks") or {}).values()
    return next((str(network["GlobalIPv6Address"]) for network in networks if network.get("GlobalIPv6Address")), None)


def is_as_seen(summary: Mapping[str, Any], seen: ContainerState) -> bool:
    """Whether an entry of GET /containers/json tells of what was seen earlier: not run yet, or the same run at the same
    address."""
    if summary["State"] != seen.status or seen.status not in ("created", "running"):
        return False
    if seen.status == "created":
        return not seen.error
    if summary.get("HostConfig", {}).get("NetworkMode") == "host":
        return True
    networks = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    return seen.address in {network.get("IPAddress") for network in networks.values()}


def container_stats(sample: Mapping[str, Any]) -> ContainerStats | None:
    """From GET /containers/{id}/stats; None for the empty sample of one that does not run."""
    read_at_s = unix_seconds(sample["read"])
    memory = sample.get("memory_stats") or {}
    if read_at_s is None or "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    # As `docker stats` does: the page cache that can be dropped is not the container's use.
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    networks: Sequence[Mapping[str, int]] = list((sample.get("networks") or {}).values())
    blocks = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return ContainerStats(
        timestamp_s=read_at_s,
        cpu_percent=_cpu_percent(sample),
        memory_bytes=max(0, memory["usage"] - cache),
        memory_limit_bytes=memory.get("limit"),
        network_rx_bytes=sum(network["rx_bytes"] for network in networks),
        network_tx_bytes=sum(network["tx_bytes"] for network in networks),
        block_read_bytes=sum(entry["value"] for entry in blocks if entry["op"].lower() == "read"),
        block_write_bytes=sum(entry["value"] for entry in blocks if entry["op"].lower() == "write"),
    )


def cpu_time(sample: Mapping[str, Any]) -> CpuTime | None:
    """From GET /containers/{id}/stats; None for the empty sample of one that does not run."""
    read_at_s = unix_seconds(sample["read"])
    if read_at_s is None or "usage" not in (sample.get("memory_stats") or {}):
        return None
    return CpuTime(read_at_s, sample["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9)


def _cpu_percent(sample: Mapping[str, Any]) -> float:
    now, before = sample["cpu_stats"], sample.get("precpu_stats") or {}
    used = now["cpu_usage"]["total_usage"] - before.get("cpu_usage", {}).get("total_usage", 0)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cores = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or [None])
    return max(0.0, used / passed * cores * 100) if passed > 0 else 0.0


def engine_event(document: Mapping[str, Any]) -> EngineEvent:
    """From GET /events, of a container. `exec_start: sh …` and the like become `exec_start`."""
    attributes = dict(document["Actor"].get("Attributes") or {})
    exit_code = attributes.pop("exitCode", None)
    return EngineEvent(
        engine_id=document["Actor"]["ID"],
        action=document["Action"].partition(":")[0],
        labels=attributes,
        timestamp_s=document["timeNano"] / 1_000_000_000,
        exit_code=int(exit_code) if exit_code is not None else None,
    )


def log_line(message: Message) -> LogLine:
    """From a message of GET /containers/{id}/logs with `timestamps`."""
    timestamp, _, text = message.data.partition(b" ")
    return LogLine(
        "stderr" if message.stream == 2 else "stdout",
        unix_seconds(timestamp.decode("ascii", "replace")) or 0.0,
        text.removesuffix(b"\n").removesuffix(b"\r"),
    )


def image_ref(document: Mapping[str, Any]) -> ImageRef:
    """From GET /images/{name}/json."""
    digests = document.get("RepoDigests") or []
    return ImageRef(
        image_id=document["Id"],
        digest=digests[0].partition("@")[2] if digests else None,
        architecture=document.get("Architecture", ""),
    )


def image_found(document: Mapping[str, Any]) -> ImageFound:
    """From GET /distribution/{name}/json. Attestations beside the images are of an unknown system."""
    platforms = document.get("Platforms") or []
    found = {platform.get("architecture", "") for platform in platforms if platform.get("os") == "linux"}
    return ImageFound(document["Descriptor"]["digest"], sorted(found - {"", "unknown"}))


def is_of_registry(image: str, document: Mapping[str, Any]) -> bool:
    """Whether the image of that name was pulled from its registry, or pushed to it; from GET /images/{name}/json."""
    names = document.get("RepoDigests") or []
    return repository(image) in map(repository, names)


def volume_state(document: Mapping[str, Any]) -> VolumeState:
    """From GET /volumes/{name}."""
    created = document.get("CreatedAt")
    return VolumeState(
        name=document["Name"],
        driver=document["Driver"],
        labels=document.get("Labels") or {},
        path=document.get("Mountpoint", ""),
        created_at_s=unix_seconds(created) if created else None,
    )


def image_tag(image: str) -> str | None:
    """The tag to ask for: `latest` where the name has neither tag nor digest, since none asks for all."""
    has_tag = "@" in image or ":" in image.rpartition("/")[2]
    return None if has_tag else "latest"


class PullMeter:
    """Sums the layers' progress documents of POST /images/create."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def add(self, document: Mapping[str, Any]) -> PullProgress:
        """The progress after this document."""
        detail = document.get("progressDetail") or {}
        if "id" in document and "total" in detail and document.get("status") == "Downloading":
            self._layers[document["id"]] = (detail.get("current", 0), detail["total"])
        elif document.get("status") in ("Download complete", "Pull complete") and document.get("id") in self._layers:
            total = self._layers[document["id"]][1]
            self._layers[document["id"]] = (total, total)
        return PullProgress(
            status=str(document.get("status", "")),
            current_bytes=sum(current for current, _ in self._layers.values()),
            total_bytes=sum(total for _, total in self._layers.values()),
        )
