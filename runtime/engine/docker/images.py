"""`docker.images`."""

from __future__ import annotations

import base64
import builtins
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from runtime.engine.docker.connection import EngineConnection
from runtime.engine.docker.multiplexed import Message
from runtime.engine.docker.streams import AnswerStream, json_stream, raw_stream


class DockerImages:
    """The engine's images."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def list(self, **params: Any) -> builtins.list[dict[str, Any]]:
        """Images; `all`, `filters`, `digests`. GET /images/json"""
        answer: builtins.list[dict[str, Any]] = await self._connection.json("GET", "/images/json", params=params)
        return answer

    async def inspect(self, name: str) -> dict[str, Any]:
        """All of one image. GET /images/{name}/json"""
        answer: dict[str, Any] = await self._connection.json("GET", f"/images/{_quoted(name)}/json")
        return answer

    async def history(self, name: str) -> builtins.list[dict[str, Any]]:
        """Its layers. GET /images/{name}/history"""
        answer: builtins.list[dict[str, Any]] = await self._connection.json("GET", f"/images/{_quoted(name)}/history")
        return answer

    async def distribution(self, name: str, *, auth: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What the registry has under that name: `Descriptor` and `Platforms`. GET /distribution/{name}/json"""
        answer: dict[str, Any] = await self._connection.json(
            "GET", f"/distribution/{_quoted(name)}/json", headers=_registry_auth(auth)
        )
        return answer

    def pull(
        self,
        from_image: str,
        *,
        tag: str | None = None,
        platform: str | None = None,
        auth: Mapping[str, str] | None = None,
    ) -> AnswerStream[dict[str, Any]]:
        """Progress documents until the image is here; a failure is raised with the engine's words.

        Without `tag` (and no tag or digest in `from_image`) the engine pulls all tags, as the API says.
        POST /images/create?fromImage=
        """
        params = {"fromImage": from_image, "tag": tag, "platform": platform}
        headers = _registry_auth(auth)
        return json_stream(lambda: self._connection.open("POST", "/images/create", params=params, headers=headers))

    def push(
        self, name: str, *, tag: str | None = None, auth: Mapping[str, str] | None = None
    ) -> AnswerStream[dict[str, Any]]:
        """Progress documents until the registry has it. POST /images/{name}/push"""
        headers = _registry_auth(auth or {})
        path = f"/images/{_quoted(name)}/push"
        return json_stream(lambda: self._connection.open("POST", path, params={"tag": tag}, headers=headers))

    async def tag(self, name: str, repo: str, *, tag: str | None = None) -> None:
        """Give it another name. POST /images/{name}/tag"""
        await self._connection.request("POST", f"/images/{_quoted(name)}/tag", params={"repo": repo, "tag": tag})

    async def delete(self, name: str, *, force: bool = False, noprune: bool = False) -> builtins.list[dict[str, Any]]:
        """What was deleted and untagged. DELETE /images/{name}"""
        answer: builtins.list[dict[str, Any]] = await self._connection.json(
            "DELETE", f"/images/{_quoted(name)}", params={"force": force, "noprune": noprune}
        )
        return answer

    def import_image(self, data: bytes | AsyncIterator[bytes]) -> AnswerStream[dict[str, Any]]:
        """Load an archive made by `docker save`; progress documents. POST /images/load"""
        headers = {"Content-Type": "application/x-tar"}
        return json_stream(lambda: self._connection.open("POST", "/images/load", content=data, headers=headers))

    def export_image(self, name: str) -> AnswerStream[Message]:
        """An archive that `import_image` takes; bytes in `.data`. GET /images/{name}/get"""
        return raw_stream(lambda: self._connection.open("GET", f"/images/{_quoted(name)}/get"))


def _quoted(name: str) -> str:
    # The engine wants the slashes and colons of a name as they are.
    return quote(name, safe="/:@")


def _registry_auth(auth: Mapping[str, str] | None) -> dict[str, str]:
    if auth is None:
        return {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(msgspec.json.encode(dict(auth))).decode()}
