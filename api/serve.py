"""Listening for clients: hypercorn's protocols under connections of ours (api/hypercorn_fixes)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import trio
from msgspec import Struct

from api.app import Api


class ServeConfig(Struct, frozen=True, kw_only=True):
    """How connections are treated. Times in seconds.

    Attributes:
        idle_timeout_s: how long a kept connection may be silent between requests.
        head_timeout_s: how long the head of a request may take from its first byte (or from connecting).
        send_timeout_s: how long a client may take to accept 64 KiB of an answer.
        head_limit_bytes: the largest request head.
        grace_s: how long requests in flight may go on after the shutdown began.
        max_connections: beyond these, new connections are closed at once.
    """

    idle_timeout_s: float = 60.0
    head_timeout_s: float = 10.0
    send_timeout_s: float = 20.0
    head_limit_bytes: int = 32 * 1024
    grace_s: float = 8.0
    max_connections: int = 4096


async def serve(
    app: Api,
    *,
    bind: Sequence[tuple[str, int]],
    shutdown: trio.Event,
    config: ServeConfig | None = None,
    tls: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until `shutdown`, then finishes what is in flight and returns within `config.grace_s`.

    `task_status` tells the bound addresses. Raises OSError where an address cannot be bound.
    """
    await shutdown.wait()
