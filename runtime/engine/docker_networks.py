"""Docker networks with a bridge and a subnet of our choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from runtime.engine.docker import Docker, DockerError
from runtime.engine.docker_errors import CONTAINER_ERRORS, translated

_BRIDGE_NAME = "com.docker.network.bridge.name"
_MTU = "com.docker.network.driver.mtu"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv4"


class NetworkSpec(Struct, frozen=True, kw_only=True):
    """A network whose containers are on the link `bridge` of the engine's machine, with its `gateway` address.

    `subnet6` and `gateway6`: of IPv6, empty where there is none.
    """

    name: str
    bridge: str
    subnet: str
    gateway: str
    mtu: int
    subnet6: str = ""
    gateway6: str = ""
    labels: Mapping[str, str]


class NetworkState(Struct, frozen=True):
    """What the engine has under a name; `containers` are the ids of those that are attached and run."""

    spec: NetworkSpec
    containers: tuple[str, ...]


class DockerEngineNetworks:
    """Raises EngineError and its kinds."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    @property
    def host(self) -> str:
        """The engine's address, unix:///… or tcp://…"""
        return self._docker.docker_host

    async def find(self, name: str) -> NetworkState | None:
        """None: there is none of that name."""
        with translated({}):
            try:
                found = await (await self._docker.networks.get(name)).show()
            except DockerError as error:
                if error.status == 404:
                    return None
                raise
        return NetworkState(_spec(found), tuple(found.get("Containers") or {}))

    async def create(self, spec: NetworkSpec) -> None:
        with translated({}):
            await self._docker.networks.create(_config(spec))

    async def remove(self, name: str) -> None:
        """What is gone already is as good as removed; EngineError while containers are attached."""
        with translated({}):
            try:
                await (await self._docker.networks.get(name)).delete()
            except DockerError as error:
                if error.status != 404:
                    raise

    async def pid(self, engine_id: str) -> int | None:
        """The first process of a container on the engine's machine; None: it does not run."""
        with translated(CONTAINER_ERRORS):
            shown = await self._docker.containers.container(engine_id).show()
        return shown["State"].get("Pid") or None


def _config(spec: NetworkSpec) -> dict[str, Any]:
    ipam = [{"Subnet": spec.subnet, "Gateway": spec.gateway}]
    if spec.subnet6:
        ipam.append({"Subnet": spec.subnet6, "Gateway": spec.gateway6})
    return {
        "Name": spec.name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "IPAM": {"Driver": "default", "Config": ipam},
        "EnableIPv6": bool(spec.subnet6),
        "Options": {
            _BRIDGE_NAME: spec.bridge,
            _MTU: str(spec.mtu),
            # Ours: Docker's rule would hide containers from those of other nodes.
            _MASQUERADE: "false",
            # Docker 27 and later drop what is routed to a container unless told so; older ones do not know the option.
            _GATEWAY_MODE: "nat-unprotected",
        },
        "Labels": dict(spec.labels),
    }


def _spec(found: Mapping[str, Any]) -> NetworkSpec:
    options = found.get("Options") or {}
    both: list[Mapping[str, str]] = (found.get("IPAM") or {}).get("Config") or []
    addresses = next((each for each in both if ":" not in each.get("Subnet", "")), {})
    addresses6 = next((each for each in both if ":" in each.get("Subnet", "")), {})
    return NetworkSpec(
        name=found["Name"],
        bridge=options.get(_BRIDGE_NAME, ""),
        subnet=addresses.get("Subnet", ""),
        gateway=addresses.get("Gateway", ""),
        mtu=int(options.get(_MTU, 0)),
        subnet6=addresses6.get("Subnet", ""),
        gateway6=addresses6.get("Gateway", ""),
        labels=found.get("Labels") or {},
    )
