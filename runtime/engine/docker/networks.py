"""`docker.networks`."""

from __future__ import annotations

import builtins
from typing import Any
from urllib.parse import quote

from runtime.engine.docker.connection import EngineConnection


class DockerNetworks:
    """The engine's networks."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def list(self, *, filters: dict[str, Any] | None = None) -> builtins.list[dict[str, Any]]:
        """All networks. GET /networks"""
        answer: builtins.list[dict[str, Any]] = await self._connection.json(
            "GET", "/networks", params={"filters": filters}
        )
        return answer

    async def create(self, config: dict[str, Any]) -> DockerNetwork:
        """Create a network. POST /networks/create"""
        answer = await self._connection.json("POST", "/networks/create", json=config)
        return DockerNetwork(self._connection, answer["Id"])

    async def get(self, net_specs: str) -> DockerNetwork:
        """A network that is there, by id or name. GET /networks/{id}"""
        answer = await self._connection.json("GET", f"/networks/{quote(net_specs, safe='')}")
        return DockerNetwork(self._connection, answer["Id"])


class DockerNetwork:
    """One network."""

    def __init__(self, connection: EngineConnection, id_: str) -> None:
        self._connection = connection
        self.id = id_
        self._path = f"/networks/{quote(id_, safe='')}"

    async def show(self) -> dict[str, Any]:
        """All of it. GET /networks/{id}"""
        answer: dict[str, Any] = await self._connection.json("GET", self._path)
        return answer

    async def delete(self) -> None:
        """Delete it. DELETE /networks/{id}"""
        await self._connection.request("DELETE", self._path)

    async def connect(self, config: dict[str, Any]) -> None:
        """Connect a container (`{"Container": id}`). POST /networks/{id}/connect"""
        await self._connection.request("POST", f"{self._path}/connect", json=config)

    async def disconnect(self, config: dict[str, Any]) -> None:
        """Disconnect a container (`{"Container": id}`). POST /networks/{id}/disconnect"""
        await self._connection.request("POST", f"{self._path}/disconnect", json=config)
