"""The few calls that test preparation makes to a Docker engine, on the standard library alone.

Tests of our own engine client do not use this; it is how images get into an engine and leftovers out of it.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

NOT_UP = (OSError, http.client.HTTPException)


class EngineRefused(RuntimeError):
    """The engine answered a request with a status of 400 or more."""

    def __init__(self, request: str, status: int, answer: bytes) -> None:
        super().__init__(f"{request}: {status} {answer[:300]!r}")
        self.status = status


class EngineApi:
    """`docker_host` is unix:///path or tcp://host:port; a connection per request."""

    def __init__(self, docker_host: str, *, timeout_s: float = 60.0) -> None:
        self.docker_host = docker_host
        self._timeout_s = timeout_s

    def request(
        self, method: str, path: str, body: object = None, *, timeout_s: float | None = None
    ) -> tuple[int, bytes]:
        """Send one request; `body` is bytes (a tar archive) or goes as JSON. Raises NOT_UP's errors."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        content_type = "application/x-tar" if isinstance(body, bytes) else "application/json"
        connection = self.connect(timeout_s or self._timeout_s)
        try:
            connection.request(method, path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """As `request`, with the decoded JSON for an answer; raises EngineRefused."""
        status, answer = self.request(method, path, body)
        if status >= 400:
            raise EngineRefused(f"{method} {path}", status, answer)
        return json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    def answers(self, timeout_s: float = 3.0) -> bool:
        """Whether an engine answers /_ping."""
        try:
            return self.request("GET", "/_ping", timeout_s=timeout_s)[0] == 200
        except NOT_UP:
            return False

    def has_image(self, tag: str) -> bool:
        return self.request("GET", f"/images/{quote(tag, safe='')}/json")[0] == 200

    def load_image(self, archive: bytes) -> None:
        self.call("POST", "/images/load?quiet=1", archive)

    def containers(self, labels: dict[str, str], *, stopped: bool = True) -> list[str]:
        """Ids of the containers that carry all of `labels`."""
        filters = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        every = "true" if stopped else "false"
        found = self.call("GET", f"/containers/json?all={every}&filters={quote(filters)}")
        return [container["Id"] for container in found]

    def remove_containers(self, labels: dict[str, str]) -> int:
        """Remove every container that carries all of `labels`, running or not; answers how many."""
        found = self.containers(labels)
        for container_id in found:
            status, answer = self.request("DELETE", f"/containers/{container_id}?force=true&v=true")
            if status >= 400 and status not in (404, 409):
                raise EngineRefused(f"DELETE /containers/{container_id}", status, answer)
        return len(found)

    def remove_volumes(self, labels: dict[str, str]) -> None:
        """Remove every volume that carries all of `labels`."""
        filters = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        for volume in self.call("GET", f"/volumes?filters={quote(filters)}")["Volumes"] or ():
            self.call("DELETE", f"/volumes/{quote(volume['Name'], safe='')}")

    def connect(self, timeout_s: float | None) -> http.client.HTTPConnection:
        """A connection of one's own, for a stream; not connected before its first request."""
        place = urlsplit(self.docker_host)
        match place.scheme:
            case "unix":
                return _UnixConnection(place.path, timeout_s)
            case "tcp":
                return http.client.HTTPConnection(place.netloc, timeout=timeout_s)
            case _:
                raise ValueError(f"not unix:///… or tcp://…: {self.docker_host!r}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = Path(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
