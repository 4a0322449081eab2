"""`docker.volumes`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from runtime.engine.docker.connection import EngineConnection


class DockerVolumes:
    """The engine's named volumes."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def list(self, *, filters: dict[str, Any] | None = None) -> dict[str, Any]:
        """`Volumes` and `Warnings`. GET /volumes"""
        answer: dict[str, Any] = await self._connection.json("GET", "/volumes", params={"filters": filters})
        return answer

    async def get(self, name: str) -> DockerVolume:
        """A volume that is there. GET /volumes/{name}"""
        volume = DockerVolume(self._connection, name)
        await volume.show()
        return volume

    async def create(self, config: dict[str, Any]) -> DockerVolume:
        """Create, or take the one of that name. POST /volumes/create"""
        answer = await self._connection.json("POST", "/volumes/create", json=config)
        return DockerVolume(self._connection, answer["Name"])


class DockerVolume:
    """One volume."""

    def __init__(self, connection: EngineConnection, name: str) -> None:
        self._connection = connection
        self.name = name
        self._path = f"/volumes/{quote(name, safe='')}"

    async def show(self) -> dict[str, Any]:
        """All of it. GET /volumes/{name}"""
        answer: dict[str, Any] = await self._connection.json("GET", self._path)
        return answer

    async def delete(self, *, force: bool = False) -> None:
        """Delete with its data. DELETE /volumes/{name}"""
        await self._connection.request("DELETE", self._path, params={"force": force})
