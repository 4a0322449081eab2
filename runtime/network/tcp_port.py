"""One published TCP port: accepts, picks a replica, passes the bytes on."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from runtime.network import proxy_protocol
from runtime.network.balancer import Balancer
from runtime.network.dial import Dialer, DialFailed
from runtime.network.pump import SocketBytes, pump
from runtime.network.routes import Backend, Front, ServiceAddress

log = structlog.get_logger()

Allows = Callable[[str, Backend], bool]
"""Whether a client's address may reach an endpoint."""

_BACKLOG = 512
_ACCEPT_PAUSE_S = 0.1


async def listen_tcp(address: str, port: int) -> trio.SocketListener:
    """Raises OSError where the port is taken."""
    (listener,) = await trio.open_tcp_listeners(port, host=address, backlog=_BACKLOG)
    return listener


class TcpPort:
    """Serves `listener`; connections go on in `nursery` when the port is closed (connection draining)."""

    def __init__(
        self,
        port: Front,
        balancer: Balancer,
        dialer: Dialer,
        *,
        allows: Allows,
        max_connections: int,
        idle_s: float,
    ) -> None:
        self._port = port
        self._node_id = dialer.node_id
        self._allows = allows
        self._balancer = balancer
        self._dialer = dialer
        self._idle_s = idle_s
        self._slots = trio.CapacityLimiter(max_connections)
        self._connections = 0

    @property
    def connections(self) -> int:
        return self._connections

    async def serve(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Until cancelled; closes the listener."""
        async with listener:
            while True:
                token = object()
                # Over the limit nobody is accepted: clients wait in the kernel's queue.
                await self._slots.acquire_on_behalf_of(token)
                try:
                    stream = await listener.accept()
                except OSError as error:
                    self._slots.release_on_behalf_of(token)
                    log.warning("mesh_accept_failed", port=str(self._port), reason=str(error))
                    await trio.sleep(_ACCEPT_PAUSE_S)
                    continue
                except BaseException:
                    self._slots.release_on_behalf_of(token)
                    raise
                nursery.start_soon(self._connection, stream, token)

    async def _connection(self, stream: trio.SocketStream, token: object) -> None:
        self._connections += 1
        try:
            async with stream:
                await self._pass_on(stream)
        finally:
            self._connections -= 1
            self._slots.release_on_behalf_of(token)

    async def _pass_on(self, stream: trio.SocketStream) -> None:
        try:
            client, server = stream.socket.getpeername(), self._asked(stream)
        except OSError:
            # The client is gone already.
            return
        balancer = self._balancer
        for backend in balancer.order(client[0], trio.current_time(), local=self._node_id):
            if not self._allows(client[0], backend):
                continue
            try:
                with balancer.connected(backend):
                    async with self._dialer.dial(backend) as upstream:
                        balancer.worked(backend, client[0], trio.current_time())
                        if balancer.policy.proxy_protocol:
                            await upstream.send(proxy_protocol.header(client, server))
                        await pump(SocketBytes(stream), upstream, broken=self._dialer.broken, idle_s=self._idle_s)
                        return
            except DialFailed as error:
                balancer.failed(backend, trio.current_time())
                log.info("mesh_dial_failed", port=str(self._port), reason=str(error))
            except self._dialer.broken as error:
                log.info("mesh_connection_broken", port=str(self._port), reason=str(error))
                return

    def _asked(self, stream: trio.SocketStream) -> tuple[str, int]:
        """What the client asked for: at a virtual address, not the proxy's own."""
        if isinstance(self._port, ServiceAddress):
            return self._port.virtual_ip, self._port.port
        asked: tuple[str, int] = stream.socket.getsockname()
        return asked
