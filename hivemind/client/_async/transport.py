"""Requests, retries, failover and streams over httpx2."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec

from hivemind.client._async.lines import AsyncLines
from hivemind.client.answers import COME_AGAIN, Response, checked, response_of, retry_after_s
from hivemind.client.credentials import Credentials
from hivemind.client.errors import ApiError, ServerUnreachable
from hivemind.client.failover import Attempts, Failure, Servers
from hivemind.client.models import Scalar
from hivemind.client.pause import async_sleep as sleep
from hivemind.client.sse import ClientEvent, Lines
from hivemind.client.trust import trusted_by_clients_of

CONNECT_TIMEOUT_S = 5.0
SILENCE_S = 45.0
"""A stream of events sends something every 15 s; after three times that its server is gone."""


class AsyncTransport:
    """Asks one of `servers`, and the next one when it fails. Use it in a ``with``. Paths are relative to ``/api``.

    A write carries an Idempotency-Key, so that asking again, also at another node, does it once.

    Args:
        servers: URLs of nodes, such as http://127.0.0.1:4483.
        retry_for_s: how long after a first failure a request is tried again; 0: not at all.
        timeout_s: how long an answer may take.
        transport: what carries the requests, where it is not the network.
    """

    def __init__(
        self,
        *servers: str,
        credentials: Credentials | None = None,
        retry_for_s: float = 10.0,
        timeout_s: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._servers = Servers(servers)
        self.credentials = credentials
        self._retry_for_s = retry_for_s
        self._rng = random.Random()
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            verify=trusted_by_clients_of(servers),
        )

    @property
    def server(self) -> str:
        """The server that is asked now."""
        return self._servers.current

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Scalar] = {},
        headers: Mapping[str, str] = {},
        timeout_s: float | None = None,
    ) -> Response:
        """One call. `timeout_s` is for this answer alone, such as one that waits (``?wait=``).

        Raises:
            ApiError: the API answered with an error.
            ServerUnreachable: there was no answer.
        """
        return response_of(await self._answered(method, path, body, params, headers, timeout_s))

    async def text(self, path: str, **params: Scalar) -> str:
        """An answer that is no JSON. Raises as `request`."""
        return await self.raw("GET", path, params=params)

    async def raw(self, method: str, path: str, *, body: Any = None, params: Mapping[str, Scalar] = {}) -> str:
        """An answer as it came. Raises as `request`."""
        answer = await self._answered(method, path, body, params, {}, None)
        if answer.status_code >= 400:
            checked(answer)
        return answer.text

    async def _answered(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, Scalar],
        headers: Mapping[str, str],
        timeout_s: float | None,
    ) -> httpx2.Response:
        content = None if body is None else msgspec.json.encode(body)
        told = {**self._headers(), **headers}
        if content is not None:
            told["Content-Type"] = "application/json"
        if method != "GET":
            told.setdefault("Idempotency-Key", secrets.token_hex(16))
        timeout: Any = httpx2.USE_CLIENT_DEFAULT
        if timeout_s is not None:
            timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        attempts = Attempts(len(self._servers.urls), self._retry_for_s, self._rng)
        while True:
            server = self._servers.current
            answer = None
            try:
                answer = await self._http.request(
                    method, f"{server}/api{path}", content=content, params=_given(params), headers=told, timeout=timeout
                )
                if answer.status_code not in COME_AGAIN:
                    return answer
                pause_s = attempts.pause_s(Failure.BUSY, time.monotonic(), retry_after_s(answer))
            except httpx2.TransportError as error:
                pause_s = attempts.pause_s(_failure(error), time.monotonic())
                if pause_s is None:
                    raise _unreachable(server, error) from error
            if answer is not None and pause_s is None:
                return answer
            self._servers.leave(server)
            await sleep(pause_s or 0.0)

    @asynccontextmanager
    async def download(self, path: str, **params: Scalar) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an answer of any length, as they come; where it breaks off, the iterator raises.

        Raises as `request`.
        """
        server = self._servers.current
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream(
                "GET", f"{server}/api{path}", params=_given(params), headers=self._headers(), timeout=timeout
            ) as answer:
                await _refuse_errors(answer)
                yield answer.aiter_bytes()
        except httpx2.TransportError as error:
            self._servers.leave(server)
            raise _unreachable(server, error) from error

    async def upload(self, path: str, pieces: AsyncIterator[bytes], **params: Scalar) -> Response:
        """PUT a body of any length. It is sent once: what fails is the caller's to try again. Raises as `request`."""
        server = self._servers.current
        headers = {**self._headers(), "Content-Type": "application/octet-stream"}
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            answer = await self._http.request(
                "PUT", f"{server}/api{path}", content=pieces, params=_given(params), headers=headers, timeout=timeout
            )
        except httpx2.TransportError as error:
            self._servers.leave(server)
            raise _unreachable(server, error) from error
        return response_of(answer)

    @asynccontextmanager
    async def lines(self, path: str, **params: Scalar) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a streamed text answer (``logs?follow=true``), as they come. Raises as `request`."""
        server = self._servers.current
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream(
                "GET", f"{server}/api{path}", params=_given(params), headers=self._headers(), timeout=timeout
            ) as answer:
                await _refuse_errors(answer)
                async with aclosing(AsyncLines(answer)) as lines:
                    yield lines
        except httpx2.TransportError as error:
            self._servers.leave(server)
            raise _unreachable(server, error) from error

    async def events(
        self, *, types: Sequence[str] = (), resources: Sequence[str] = (), since: str | None = None
    ) -> AsyncGenerator[ClientEvent, None]:
        """Every event after `since` (None: from now on), for ever: a broken stream is resumed, at another server.

        Close it (`contextlib.aclosing`) when done.

        Raises:
            ApiError: the API refused.
            ServerUnreachable: no server could be reached, also not after some time.
        """
        params = _given({"types": ",".join(types) or None, "resources": ",".join(resources) or None})
        timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=SILENCE_S)
        attempts: Attempts | None = None
        while True:
            server = self._servers.current
            place = {} if since is None else {"since": since}
            problem: Exception = ServerUnreachable(f"{server}: the stream ended")
            failure, after_s = Failure.BROKEN, 0.0
            try:
                async with self._http.stream(
                    "GET",
                    f"{server}/api/stream/events",
                    params={**params, **place},
                    headers=self._headers(),
                    timeout=timeout,
                ) as answer:
                    after_s = retry_after_s(answer)
                    await _refuse_errors(answer)
                    stream = Lines(since)
                    async with aclosing(AsyncLines(answer)) as lines:
                        async for line in lines:
                            event = stream.take(line)
                            if stream.last_id != since:
                                since, attempts = stream.last_id, None
                            if event is not None:
                                yield event
            except ApiError as error:
                if error.status not in COME_AGAIN:
                    raise
                failure, problem = Failure.BUSY, error
            except httpx2.TransportError as error:
                failure, problem = _failure(error), _unreachable(server, error)
            attempts = attempts or Attempts(len(self._servers.urls), self._retry_for_s, self._rng)
            pause_s = attempts.pause_s(failure, time.monotonic(), after_s)
            if pause_s is None:
                raise problem
            self._servers.leave(server)
            await sleep(pause_s)

    def _headers(self) -> dict[str, str]:
        return {} if self.credentials is None else {"Authorization": self.credentials.header}


async def _refuse_errors(answer: httpx2.Response) -> None:
    if answer.status_code >= 400:
        await answer.aread()
        checked(answer)


def _given(params: Mapping[str, Scalar]) -> dict[str, str]:
    """Without what is None, and booleans as the API writes them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
        if value is not None
    }


def _failure(error: httpx2.TransportError) -> Failure:
    refused = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    return Failure.REFUSED if refused else Failure.BROKEN


def _unreachable(server: str, error: Exception) -> ServerUnreachable:
    return ServerUnreachable(f"{server}: {error or type(error).__name__}")
