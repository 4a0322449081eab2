"""Events over the WebSocket, as they come; a broken connection is made anew and goes on after the last event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import trio
from msgspec import Struct
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, open_websocket_url

from hivemind.client.credentials import Credentials
from hivemind.client.errors import ApiError, ServerUnreachable

_RETRY_PAUSE_S = 0.5
_RETRIES = 20


class ClientEvent(Struct, frozen=True):
    """`id` resumes after this event at any node; None for heartbeats and gaps."""

    id: str | None
    type: str
    data: dict[str, Any]


async def follow(
    server: str, credentials: Credentials | None, params: Mapping[str, str], since: str | None
) -> AsyncIterator[ClientEvent]:
    """Every event after `since` (None: from now on).

    Raises:
        ApiError: the server refused the connection.
        ServerUnreachable: it could not be reached, also not after some tries.
    """
    base = server.replace("http", "ws", 1) + "/api/ws"
    headers = [] if credentials is None else [(b"Authorization", credentials.header.encode())]
    failures = 0
    while True:
        query = {**params, **({} if since is None else {"since": since})}
        url = f"{base}?{urlencode(query)}" if query else base
        try:
            async with open_websocket_url(url, extra_headers=headers) as websocket:
                while True:
                    message = json.loads(await websocket.get_message())
                    failures = 0
                    event = ClientEvent(message.get("id"), message["type"], message.get("data") or {})
                    since = event.id or since
                    yield event
        except ConnectionRejected as error:
            raise ApiError(error.status_code, "refused", _rejection(error)) from error
        except (ConnectionClosed, HandshakeError, OSError) as error:
            failures += 1
            if failures > _RETRIES:
                raise ServerUnreachable(f"{server}: {error}") from error
        await trio.sleep(_RETRY_PAUSE_S)


def _rejection(error: ConnectionRejected) -> str:
    try:
        return str(json.loads(error.body or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.status_code}"
