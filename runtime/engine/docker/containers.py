"""`docker.containers`."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from runtime.engine.docker.connection import ANSWER_TIMEOUT_S, EngineConnection
from runtime.engine.docker.errors import DockerError
from runtime.engine.docker.exec import Exec, Stream
from runtime.engine.docker.multiplexed import Message
from runtime.engine.docker.streams import AnswerStream, frame_stream, json_stream, raw_stream


class DockerContainers:
    """The engine's containers."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def list(self, **params: Any) -> builtins.list[DockerContainer]:
        """Containers; `all`, `limit`, `size`, `filters`. GET /containers/json"""
        answer = await self._connection.json("GET", "/containers/json", params=params)
        return [DockerContainer(self._connection, summary["Id"], summary) for summary in answer]

    async def create(self, config: Mapping[str, Any], *, name: str | None = None) -> DockerContainer:
        """Create without starting. POST /containers/create"""
        answer = await self._connection.json("POST", "/containers/create", params={"name": name}, json=dict(config))
        return DockerContainer(self._connection, answer["Id"])

    async def run(self, config: Mapping[str, Any], *, name: str | None = None) -> DockerContainer:
        """Create and start; the image must be there. POST /containers/create, /containers/{id}/start"""
        container = await self.create(config, name=name)
        await container.start()
        return container

    async def create_or_replace(self, name: str, config: Mapping[str, Any]) -> DockerContainer:
        """Create in place of the one of that name. DELETE /containers/{id}, POST /containers/create"""
        try:
            await self.container(name).delete(force=True)
        except DockerError as error:
            if error.status != 404:
                raise
        return await self.create(config, name=name)

    async def get(self, container_id: str) -> DockerContainer:
        """A container that is there, by id or name. GET /containers/{id}/json"""
        answer = await self.container(container_id).show()
        return DockerContainer(self._connection, answer["Id"], answer)

    def container(self, container_id: str) -> DockerContainer:
        """The same without asking the engine."""
        return DockerContainer(self._connection, container_id)


class DockerContainer:
    """One container; `attrs` is what the engine said of it last."""

    def __init__(self, connection: EngineConnection, id_: str, attrs: Mapping[str, Any] | None = None) -> None:
        self._connection = connection
        self.id = id_
        self.attrs: Mapping[str, Any] = attrs or {}
        self._path = f"/containers/{quote(id_, safe='')}"

    def __getitem__(self, key: str) -> Any:
        return self.attrs[key]

    async def show(self, **params: Any) -> dict[str, Any]:
        """All of it. GET /containers/{id}/json"""
        answer: dict[str, Any] = await self._connection.json("GET", f"{self._path}/json", params=params)
        self.attrs = answer
        return answer

    async def start(self) -> None:
        """Start; a running one stays as it is. POST /containers/{id}/start"""
        await self._connection.request("POST", f"{self._path}/start")

    async def stop(self, *, t: int | None = None, signal: str | None = None) -> None:
        """Signal, wait `t` seconds, kill; answers when it has ended. POST /containers/{id}/stop"""
        await self._connection.request(
            "POST",
            f"{self._path}/stop",
            params={"t": t, "signal": signal},
            timeout_s=None if t is None or t < 0 else t + ANSWER_TIMEOUT_S,
        )

    async def restart(self, *, t: int | None = None) -> None:
        """Stop as `stop` does, and start. POST /containers/{id}/restart"""
        await self._connection.request("POST", f"{self._path}/restart", params={"t": t}, timeout_s=None)

    async def kill(self, *, signal: str | int | None = None) -> None:
        """Signal at once. POST /containers/{id}/kill"""
        await self._connection.request("POST", f"{self._path}/kill", params={"signal": signal})

    async def pause(self) -> None:
        """Freeze. POST /containers/{id}/pause"""
        await self._connection.request("POST", f"{self._path}/pause")

    async def unpause(self) -> None:
        """Thaw. POST /containers/{id}/unpause"""
        await self._connection.request("POST", f"{self._path}/unpause")

    async def wait(self, *, condition: str | None = None) -> dict[str, Any]:
        """Wait for its end; `StatusCode`. POST /containers/{id}/wait"""
        answer: dict[str, Any] = await self._connection.json(
            "POST", f"{self._path}/wait", params={"condition": condition}, timeout_s=None
        )
        return answer

    async def rename(self, newname: str) -> None:
        """Give it another name. POST /containers/{id}/rename"""
        await self._connection.request("POST", f"{self._path}/rename", params={"name": newname})

    async def delete(self, *, force: bool = False, v: bool = False, link: bool = False) -> None:
        """Remove; `force` kills it first, `v` takes its anonymous volumes along. DELETE /containers/{id}"""
        await self._connection.request("DELETE", self._path, params={"force": force, "v": v, "link": link})

    async def resize(self, *, h: int, w: int) -> None:
        """Set the size of its tty. POST /containers/{id}/resize"""
        await self._connection.request("POST", f"{self._path}/resize", params={"h": h, "w": w})

    def log(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tty: bool = False,
        **params: Any,
    ) -> AnswerStream[Message]:
        """Its output, a message for each piece that was logged; `tail`, `since`, `until`, `timestamps`.

        `tty` must be what the container was created with: only without one is the answer framed.
        GET /containers/{id}/logs
        """
        sent = {"stdout": stdout, "stderr": stderr, "follow": follow, **params}
        stream = raw_stream if tty else frame_stream
        return stream(lambda: self._connection.open("GET", f"{self._path}/logs", params=sent))

    def stats(self, *, stream: bool = True, one_shot: bool = False) -> AnswerStream[dict[str, Any]]:
        """Samples, one a second; without `stream` only one, with `one_shot` without the one before it to compare with.

        GET /containers/{id}/stats
        """
        params = {"stream": stream, "one-shot": one_shot}
        return json_stream(lambda: self._connection.open("GET", f"{self._path}/stats", params=params))

    def attach(
        self,
        *,
        stdin: bool = False,
        stdout: bool = False,
        stderr: bool = False,
        logs: bool = False,
        tty: bool = False,
    ) -> Stream:
        """Its streams; `logs` repeats what it has written so far. POST /containers/{id}/attach"""
        params = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs, "stream": True}
        return Stream(lambda: self._connection.upgrade(f"{self._path}/attach", params=params), tty=tty)

    async def exec(
        self,
        cmd: Sequence[str],
        *,
        stdout: bool = True,
        stderr: bool = True,
        stdin: bool = False,
        tty: bool = False,
        privileged: bool = False,
        user: str = "",
        environment: Mapping[str, str] | None = None,
        workdir: str | None = None,
    ) -> Exec:
        """Prepare a command in it; `start()` runs it. POST /containers/{id}/exec"""
        body: dict[str, Any] = {
            "Cmd": builtins.list(cmd),
            "AttachStdin": stdin,
            "AttachStdout": stdout,
            "AttachStderr": stderr,
            "Tty": tty,
            "Privileged": privileged,
            "User": user,
            "Env": [f"{name}={value}" for name, value in (environment or {}).items()],
        }
        if workdir:
            body["WorkingDir"] = workdir
        answer = await self._connection.json("POST", f"{self._path}/exec", json=body)
        return Exec(self._connection, answer["Id"], tty=tty)

    def get_archive(self, path: str) -> AnswerStream[Message]:
        """A file or folder of it as a tar; the bytes are in `.data`. GET /containers/{id}/archive"""
        params = {"path": path}
        return raw_stream(lambda: self._connection.open("GET", f"{self._path}/archive", params=params))

    async def put_archive(self, path: str, data: bytes) -> None:
        """Unpack a tar in it. PUT /containers/{id}/archive"""
        await self._connection.request("PUT", f"{self._path}/archive", params={"path": path}, content=data)
