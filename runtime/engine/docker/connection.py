"""The HTTP connection to the engine: one place for addresses, timeouts and errors."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import anyio
import httpcore2
import msgspec

from runtime.engine.docker.errors import DockerConnectionError, DockerError

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 120.0
"""A create or start on a busy machine takes seconds, a large image's delete tens of them."""

BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
"""What a connection raises that is of no more use."""

_KEPT_CONNECTIONS, _KEPT_S = 16, 30.0
_UPGRADE_HEADERS = {"Connection": "Upgrade", "Upgrade": "tcp"}

Params = Mapping[str, Any]
Content = bytes | AsyncIterator[bytes]


class NetworkStream(Protocol):
    """What an upgraded connection leaves us with (`httpcore2.AsyncNetworkStream`)."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...
    async def write(self, buffer: bytes, timeout: float | None = None) -> None: ...
    def get_extra_info(self, info: str) -> Any: ...


class Answer:
    """An answer of which the head is here; `body` is filled by `read`. Whoever does not read it closes it.

    What is raised meanwhile is one of BROKEN.
    """

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self.status = response.status
        self.body = b""

    def header(self, name: str) -> str:
        """ "" where there is none."""
        wanted = name.lower().encode()
        return next((value.decode() for key, value in self._response.headers if key.lower() == wanted), "")

    def chunks(self) -> AsyncIterator[bytes]:
        """Its body, as it comes. Once only."""
        return self._response.aiter_stream()

    async def read(self) -> None:
        """All of its body; it is closed afterwards."""
        try:
            self.body = await self._response.aread()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back, or cut it where there is more to read."""
        with anyio.CancelScope(shield=True):
            await self._response.aclose()

    @property
    def upgraded(self) -> NetworkStream:
        """The connection itself, after an answer with status 101."""
        stream: NetworkStream = self._response.extensions["network_stream"]
        return stream


class EngineConnection:
    """Requests to one engine at `unix:///path`, `tcp://host:port`, `http://…` or `https://…`."""

    def __init__(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        self.url = url
        scheme, separator, rest = url.partition("://")
        if not separator or not rest or scheme not in ("unix", "tcp", "http", "https"):
            raise ValueError(f"a Docker host is unix:///path or tcp://host:port, not {url!r}")
        secure = scheme == "https" or (scheme != "unix" and ssl_context is not None)
        place = urlsplit("http://docker" if scheme == "unix" else f"{'https' if secure else 'http'}://{rest}")
        self._scheme, self._host, self._port = place.scheme, place.hostname or "", place.port
        self._host_header, self._prefix = place.netloc, place.path.rstrip("/")
        # max_connections None: each followed log, event stream and exec holds a connection of its own.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or (httpcore2.default_ssl_context() if secure else None),
            max_connections=None,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            uds=rest if scheme == "unix" else None,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> Answer:
        """Send and read the whole answer. DockerError."""
        answer = await self.open(
            method, path, params=params, json=json, content=content, headers=headers, timeout_s=timeout_s
        )
        await self._read(answer)
        return answer

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """As `request`; the answer's JSON, None for an empty one."""
        body = (await self.request(method, path, **options)).body
        return msgspec.json.decode(body) if body.strip() else None

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send and return the answer unread; the caller closes it. DockerError.

        `path` is quoted already. `timeout_s` is the longest silence that is borne, None for streams, which may be
        silent for ever.
        """
        sent = {"Host": self._host_header, "User-Agent": "hivemind", **(headers or {})}
        if json is not None:
            content = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"
        if isinstance(content, bytes) or (content is None and method != "GET"):
            sent["Content-Length"] = str(len(content or b""))
        elif content is not None:
            sent["Transfer-Encoding"] = "chunked"
        query = urlencode(_encode_params(params or {}))
        request = httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=self._scheme,
                host=self._host,
                port=self._port,
                target=f"{self._prefix}{path}?{query}" if query else f"{self._prefix}{path}",
            ),
            headers=list(sent.items()),
            content=content,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S, "read": timeout_s}},
        )
        try:
            answer = Answer(await self._pool.handle_async_request(request))
        except BROKEN as error:
            reason = str(error) or type(error).__name__
            raise DockerConnectionError(f"no answer from the Docker engine at {self.url}: {reason}") from error
        if answer.status >= 400:
            await self._read(answer)
            raise DockerError(answer.status, _error_message(answer))
        return answer

    async def _read(self, answer: Answer) -> None:
        try:
            await answer.read()
        except BROKEN as error:
            raise DockerConnectionError(f"the answer of {self.url} broke off: {error}") from error

    async def upgrade(
        self, path: str, *, params: Params | None = None, json: Any = None
    ) -> tuple[Answer, NetworkStream]:
        """POST with `Connection: Upgrade`; the raw connection, and the answer that must be closed after."""
        answer = await self.open("POST", path, params=params, json=json, headers=_UPGRADE_HEADERS)
        if answer.status != 101:
            await answer.aclose()
            raise DockerError(answer.status, f"the engine did not upgrade the connection for {path}")
        return answer, answer.upgraded

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


def _encode_params(params: Params) -> dict[str, str]:
    encoded: dict[str, str] = {}
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, bool):
            encoded[name] = "true" if value else "false"
        elif isinstance(value, (dict, list)):
            encoded[name] = msgspec.json.encode(value).decode()
        else:
            encoded[name] = str(value)
    return encoded


def _error_message(answer: Answer) -> str:
    try:
        document = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("message"), str):
        return str(document["message"]).strip()
    return answer.body.decode(errors="replace").strip() or f"status {answer.status}"
