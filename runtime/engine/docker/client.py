"""The client's root."""

from __future__ import annotations

import os
import ssl
from types import TracebackType
from typing import Any, Self

from runtime.engine.docker.connection import DEFAULT_HOST, EngineConnection
from runtime.engine.docker.containers import DockerContainers
from runtime.engine.docker.events import DockerEvents
from runtime.engine.docker.images import DockerImages
from runtime.engine.docker.networks import DockerNetworks
from runtime.engine.docker.volumes import DockerVolumes


class DockerSystem:
    """`docker.system`."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def info(self) -> dict[str, Any]:
        """The engine and its machine. GET /info"""
        answer: dict[str, Any] = await self._connection.json("GET", "/info")
        return answer

    async def ping(self) -> str:
        """The engine's newest API version, "" where it does not say. GET /_ping"""
        answer = await self._connection.request("GET", "/_ping", timeout_s=5)
        return answer.header("Api-Version")


class Docker:
    """A Docker engine (or Podman's service) at `url`.

    `url` defaults to `$DOCKER_HOST`, then `unix:///var/run/docker.sock`. Nothing is sent until the first
    call. All calls raise DockerError, and DockerConnectionError (status 900) where there is no answer.
    """

    def __init__(self, url: str | None = None, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.docker_host = url or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._connection = EngineConnection(self.docker_host, ssl_context)
        self.containers = DockerContainers(self._connection)
        self.images = DockerImages(self._connection)
        self.volumes = DockerVolumes(self._connection)
        self.networks = DockerNetworks(self._connection)
        self.events = DockerEvents(self._connection)
        self.system = DockerSystem(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def version(self) -> dict[str, Any]:
        """Versions of the engine and its parts. GET /version"""
        answer: dict[str, Any] = await self._connection.json("GET", "/version")
        return answer

    async def auth(self, **credentials: str) -> dict[str, Any]:
        """Check registry credentials (username, password, serveraddress). POST /auth"""
        answer: dict[str, Any] = await self._connection.json("POST", "/auth", json=credentials)
        return answer

    async def close(self) -> None:
        """Close all connections. Containers keep running."""
        await self._connection.aclose()
