"""One server's API over httpx2, under trio or asyncio (events need trio)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import httpx2
from msgspec import Struct

from hivemind.client import events
from hivemind.client.credentials import Credentials
from hivemind.client.errors import ApiError, ServerUnreachable

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)


class Response(Struct, frozen=True):
    """A successful answer. `index` is X-Hivemind-Index, `leader` X-Hivemind-Leader."""

    data: Any
    index: int | None
    leader: str | None


class Client:
    """Use with ``async with``. Paths are relative to ``/api``."""

    def __init__(self, server: str, *, credentials: Credentials | None = None) -> None:
        self.server = server.rstrip("/").removesuffix("/api")
        self._credentials = credentials
        headers = {} if credentials is None else {"Authorization": credentials.header}
        self._http = httpx2.AsyncClient(base_url=self.server + "/api", headers=headers, timeout=_TIMEOUT)

    async def __aenter__(self) -> Client:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def get(self, path: str, **params: Any) -> Any:
        return (await self.request("GET", path, params=params)).data

    async def post(self, path: str, body: Any = None) -> Any:
        return (await self.request("POST", path, body=body)).data

    async def delete(self, path: str) -> Any:
        return (await self.request("DELETE", path)).data

    async def request(self, method: str, path: str, *, body: Any = None, params: Mapping[str, Any] = {}) -> Response:
        """One call.

        Raises:
            ApiError: the API answered with an error.
            ServerUnreachable: there was no answer.
        """
        query = {key: value for key, value in params.items() if value is not None}
        try:
            answer = await self._http.request(method, path, json=body, params=query)
        except httpx2.TransportError as error:
            raise ServerUnreachable(f"{self.server}: {error or type(error).__name__}") from error
        content = _checked(answer)
        index = answer.headers.get("X-Hivemind-Index")
        return Response(
            content.get("data"), None if index is None else int(index), answer.headers.get("X-Hivemind-Leader") or None
        )

    @asynccontextmanager
    async def lines(self, path: str, **params: Any) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a streamed text answer (``logs?follow=true``), as they come."""
        query = {key: value for key, value in params.items() if value is not None}
        try:
            timeout = httpx2.Timeout(None, connect=5.0)
            async with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    _checked(answer)
                yield answer.aiter_lines()
        except httpx2.TransportError as error:
            raise ServerUnreachable(f"{self.server}: {error or type(error).__name__}") from error

    def events(
        self, *, types: Sequence[str] = (), resources: Sequence[str] = (), since: str | None = None
    ) -> AsyncIterator[events.ClientEvent]:
        """Follows the cluster's events; close it (`contextlib.aclosing`) when done."""
        filters = {"types": ",".join(types), "resources": ",".join(resources)}
        return events.follow(
            self.server, self._credentials, {key: text for key, text in filters.items() if text}, since
        )


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError as error:
        raise ApiError(
            answer.status_code, "not_json", f"the server answered {answer.status_code} without JSON"
        ) from error
    if not isinstance(content, dict) or not content.get("success"):
        problem = content.get("error", {}) if isinstance(content, dict) else {}
        raise ApiError(
            answer.status_code, problem.get("code", "unknown"), problem.get("message", f"status {answer.status_code}")
        )
    return content
