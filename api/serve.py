"""Listening for clients: hypercorn's protocols under connections of ours (api/hypercorn_fixes)."""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Callable, Sequence

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import wrap_app
from msgspec import Struct

from api.app import Api
from api.hypercorn_fixes.connection import Connection, ConnectionLimits, Stream

log = structlog.get_logger()
BACKLOG = 512
LAST_NOTES_S = 1.0


class ServeConfig(Struct, frozen=True, kw_only=True):
    """How connections are treated. Times in seconds.

    Attributes:
        idle_timeout_s: how long a kept connection may be silent between requests.
        head_timeout_s: how long the head of a request may take from its first byte (or from connecting).
        drain_timeout_s: how long the rest of a body that was refused may take.
        send_timeout_s: how long a client may take to accept 64 KiB of an answer.
        head_limit_bytes: the largest request head.
        ping_interval_s: how often a WebSocket's client is pinged.
        grace_s: how long requests in flight may go on after the shutdown began.
        max_connections: beyond these, new connections are closed at once.
        send_buffer_bytes: what the kernel holds for a client that is slow to read; None: as the kernel sees fit.
    """

    idle_timeout_s: float = 60.0
    head_timeout_s: float = 10.0
    drain_timeout_s: float = 10.0
    send_timeout_s: float = 20.0
    head_limit_bytes: int = 32 * 1024
    ping_interval_s: float = 15.0
    grace_s: float = 8.0
    max_connections: int = 4096
    send_buffer_bytes: int | None = None


class _Server:
    """The connections that are open."""

    def __init__(self, app: Api, config: ServeConfig) -> None:
        hypercorn_config = Config()
        # hypercorn hangs up after 1000 requests, without a word to who sends the next one.
        hypercorn_config.keep_alive_max_requests = sys.maxsize
        hypercorn_config.accesslog = None
        hypercorn_config.errorlog = logging.getLogger("hypercorn.error")
        hypercorn_config.include_server_header = False
        hypercorn_config.h11_max_incomplete_size = config.head_limit_bytes
        hypercorn_config.websocket_ping_interval = config.ping_interval_s
        # Clients have nothing long to say on a WebSocket yet.
        hypercorn_config.websocket_max_message_size = 1024 * 1024
        self._hypercorn_config = hypercorn_config
        self._app = wrap_app(app, hypercorn_config.wsgi_max_body_size, "asgi")
        self._config = config
        self._limits = ConnectionLimits(
            idle_timeout_s=config.idle_timeout_s,
            head_timeout_s=config.head_timeout_s,
            drain_timeout_s=config.drain_timeout_s,
            send_timeout_s=config.send_timeout_s,
            body_limit_bytes=app.body_limit_bytes,
        )
        self.context = WorkerContext(None)
        self.connections: set[Connection] = set()

    async def handle(self, stream: Stream) -> None:
        if len(self.connections) >= self._config.max_connections:
            await trio.aclose_forcefully(stream)
            return
        connection = Connection(self._app, self._hypercorn_config, self.context, self._limits, stream)
        self.connections.add(connection)
        try:
            await connection.run()
        except Exception as error:
            # One connection's fault is not the others'.
            log.error("connection_failed", exc_info=error)
        finally:
            self.connections.discard(connection)


async def serve(
    app: Api,
    *,
    bind: Sequence[tuple[str, int]],
    shutdown: trio.Event,
    config: ServeConfig | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
    task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until `shutdown`, then finishes what is in flight and returns within `config.grace_s`.

    `tls` gives the context of each new connection, so that it may change. `task_status` tells the bound addresses.
    Raises OSError where an address cannot be bound.
    """
    config = config or ServeConfig()
    server = _Server(app, config)
    listeners: list[trio.SocketListener] = []
    for host, port in bind:
        listeners += await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    if config.send_buffer_bytes is not None:
        for listener in listeners:
            # Connections have what their listener has (tcp(7)).
            listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, config.send_buffer_bytes)
    addresses = [tuple(listener.socket.getsockname()[:2]) for listener in listeners]
    async with trio.open_nursery() as timer:
        timer.start_soon(app.journal.run)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    secured = listener if tls is None else _TlsListener(listener, tls)
                    accepting.start_soon(_accept, server, secured, connections)
                task_status.started([(str(host), int(port)) for host, port in addresses])
                await shutdown.wait()
                accepting.cancel_scope.cancel()
            await server.context.terminated.set()
            app.closing.close()
            for connection in list(server.connections):
                connection.finish()
            timer.start_soon(_end_by_force, server, config.grace_s, connections.cancel_scope)
        with trio.move_on_after(LAST_NOTES_S):
            await app.journal.flush()
        timer.cancel_scope.cancel()


class _TlsListener(trio.abc.Listener[trio.SSLStream[trio.SocketStream]]):
    def __init__(self, listener: trio.SocketListener, context: Callable[[], ssl.SSLContext]) -> None:
        self._listener = listener
        self._context = context

    async def accept(self) -> trio.SSLStream[trio.SocketStream]:
        stream = await self._listener.accept()
        return trio.SSLStream(stream, self._context(), server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        await self._listener.aclose()


async def _accept(
    server: _Server,
    listener: trio.SocketListener | _TlsListener,
    connections: trio.Nursery,
) -> None:
    await trio.serve_listeners(server.handle, [listener], handler_nursery=connections)


async def _end_by_force(server: _Server, grace_s: float, scope: trio.CancelScope) -> None:
    await trio.sleep(grace_s)
    log.warning("connections_aborted", connections=len(server.connections))
    for connection in list(server.connections):
        connection.abort()
    scope.cancel()
