"""What this package needs of the peer channel. The daemon hands it in (hivemind/peer); tests have their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class PeerStream(Protocol):
    """Bytes both ways with half close; one sender and one receiver at a time."""

    async def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    async def send_eof(self) -> None: ...
    async def aclose(self) -> None: ...


class PeerServices(Protocol):
    """Registers what this node answers. `handler(peer node id, body)`."""

    def serve(self, service: str, handler: Callable[[str, Any], Awaitable[Any]]) -> None: ...
    def serve_stream(self, service: str, handler: Callable[[str, Any, Any], Awaitable[None]]) -> None: ...


class PeerCalls(Protocol):
    """Asks other nodes. Raises the channel's own errors, of which the user of this Protocol is told the base."""

    async def call(self, node_id: str, service: str, body: Any, *, timeout_s: float) -> Any: ...
    def open_stream(self, node_id: str, service: str, request: Any) -> AbstractAsyncContextManager[Any]: ...


PeerFailures = tuple[type[Exception], ...]
"""The errors of a peer channel; for hivemind/peer it is `(PeerError,)`."""
