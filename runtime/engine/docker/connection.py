"""The HTTP connection to the engine: one place for addresses, timeouts and errors."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import httpx2
import msgspec

from runtime.engine.docker.errors import DockerConnectionError, DockerError

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 120.0
"""A create or start on a busy machine takes seconds, a large image's delete tens of them."""

_UPGRADE_HEADERS = {"Connection": "Upgrade", "Upgrade": "tcp"}

Params = Mapping[str, Any]


class NetworkStream(Protocol):
    """What an upgraded connection leaves us with (`httpcore2.AsyncNetworkStream`)."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...
    async def write(self, buffer: bytes, timeout: float | None = None) -> None: ...
    def get_extra_info(self, info: str) -> Any: ...


class EngineConnection:
    """Requests to one engine at `unix:///path`, `tcp://host:port`, `http://…` or `https://…`."""

    def __init__(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        self.url = url
        scheme, separator, rest = url.partition("://")
        if not separator or not rest or scheme not in ("unix", "tcp", "http", "https"):
            raise ValueError(f"a Docker host is unix:///path or tcp://host:port, not {url!r}")
        if scheme == "unix":
            base_url, socket_path = "http://docker", rest
        else:
            secure = ssl_context is not None or scheme == "https"
            base_url, socket_path = f"{'https' if secure else 'http'}://{rest}", None
        # max_connections None: each followed log, event stream and exec holds a connection of its own.
        transport = httpx2.AsyncHTTPTransport(
            uds=socket_path,
            verify=ssl_context if ssl_context is not None else scheme == "https",
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
        )
        self._client = httpx2.AsyncClient(transport=transport, base_url=base_url, trust_env=False)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> httpx2.Response:
        """Send and read the whole answer. DockerError."""
        response = await self.open(
            method, path, params=params, json=json, content=content, headers=headers, timeout_s=timeout_s
        )
        try:
            await response.aread()
        except httpx2.HTTPError as error:
            raise DockerConnectionError(f"the answer of {self.url} broke off: {error}") from error
        finally:
            await response.aclose()
        return response

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """As `request`; the answer's JSON, None for an empty one."""
        response = await self.request(method, path, **options)
        return msgspec.json.decode(response.content) if response.content.strip() else None

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx2.Response:
        """Send and return the answer unread; the caller closes it. DockerError.

        `timeout_s` is the longest silence that is borne, None for streams, which may be silent for ever.
        """
        sent_headers = dict(headers or {})
        if json is not None:
            content = msgspec.json.encode(json)
            sent_headers["Content-Type"] = "application/json"
        request = self._client.build_request(
            method,
            path,
            params=_encode_params(params or {}),
            content=content,
            headers=sent_headers,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S, read=timeout_s),
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise DockerConnectionError(f"no answer from the Docker engine at {self.url}: {reason}") from error
        if response.status_code < 400:
            return response
        try:
            await response.aread()
            raise DockerError(response.status_code, _error_message(response))
        except httpx2.HTTPError as error:
            raise DockerConnectionError(f"the answer of {self.url} broke off: {error}") from error
        finally:
            await response.aclose()

    async def upgrade(
        self, path: str, *, params: Params | None = None, json: Any = None
    ) -> tuple[httpx2.Response, NetworkStream]:
        """POST with `Connection: Upgrade`; the raw connection, and the answer that must be closed after."""
        response = await self.open("POST", path, params=params, json=json, headers=_UPGRADE_HEADERS)
        if response.status_code != 101:
            await response.aclose()
            raise DockerError(response.status_code, f"the engine did not upgrade the connection for {path}")
        return response, response.extensions["network_stream"]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


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


def _error_message(response: httpx2.Response) -> str:
    try:
        document = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("message"), str):
        return str(document["message"]).strip()
    return response.text.strip() or f"status {response.status_code}"
