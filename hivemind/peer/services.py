"""What this node answers to: the registered handlers, for remote callers and for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from hivemind.peer.errors import PeerRefusal, PeerUnreachable
from hivemind.peer.stream import PeerStream

log = structlog.get_logger()

CallHandler = Callable[[str, Any], Awaitable[Any]]
StreamHandler = Callable[[str, Any, PeerStream], Awaitable[None]]


class LinkReceiver(Protocol):
    """Takes what links bring. All three are called in the trio thread and must not raise."""

    def message(self, node_id: str, body: Any) -> None: ...
    def up(self, node_id: str) -> None: ...
    def down(self, node_id: str) -> None: ...


class Services:
    """The tables of handlers."""

    def __init__(self) -> None:
        self._calls: dict[str, CallHandler] = {}
        self._streams: dict[str, StreamHandler] = {}
        self.join: CallHandler | None = None
        self.receiver: LinkReceiver | None = None
        self.contact: Callable[[str], None] = lambda node_id: None
        self.turn_away: Callable[[str], str | None] = lambda node_id: None

    def add_call(self, service: str, handler: CallHandler) -> None:
        if service in self._calls:
            raise ValueError(f"the service {service} is registered twice")
        self._calls[service] = handler

    def add_stream(self, service: str, handler: StreamHandler) -> None:
        if service in self._streams:
            raise ValueError(f"the stream service {service} is registered twice")
        self._streams[service] = handler

    def has_stream(self, service: str) -> bool:
        return service in self._streams

    async def call(self, peer: str, service: str, body: Any) -> Any:
        """Run a handler. Raises PeerRefusal, also for a bug in it (code ``internal``, logged here)."""
        handler = self._calls.get(service)
        if handler is None:
            raise unknown_service(service)
        return await guarded(handler, peer, service, body)

    async def stream(self, peer: str, service: str, request: Any, stream: PeerStream) -> None:
        """Run a stream handler. Raises PeerRefusal as :meth:`call` does.

        That the other side left, and the handler let that pass through, is no bug.
        """
        handler = self._streams.get(service)
        if handler is None:
            raise unknown_service(service)
        try:
            await handler(peer, request, stream)
        except PeerRefusal:
            raise
        except PeerUnreachable as error:
            if error.node_id != peer:
                raise _internal(peer, service, error) from error
            log.debug("peer_stream_left", peer=peer, service=service, reason=error.reason)
        except Exception as error:
            raise _internal(peer, service, error) from error


async def guarded(handler: CallHandler, peer: str, service: str, body: Any) -> Any:
    """The handler's answer. Raises PeerRefusal; other exceptions are logged and become one."""
    try:
        return await handler(peer, body)
    except PeerRefusal:
        raise
    except Exception as error:
        raise _internal(peer, service, error) from error


def unknown_service(service: str) -> PeerRefusal:
    return PeerRefusal("unknown_service", f"there is no service {service}")


def _internal(peer: str, service: str, error: Exception) -> PeerRefusal:
    log.error("peer_handler_failed", peer=peer, service=service, exc_info=error)
    return PeerRefusal("internal", f"{service} failed with {type(error).__name__}; its node's log says more")
