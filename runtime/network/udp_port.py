"""One published UDP port. Datagrams of one client go to one replica until the client was silent for long.

Only replicas of this node are reached: a datagram has no stream to travel in between nodes. The network issue's
kernel data path reaches the others.
"""

from __future__ import annotations

import structlog
import trio

from runtime.network.balancer import Balancer
from runtime.network.routes import PublishedPort

log = structlog.get_logger()

DATAGRAM_BYTES = 65536
MAX_CLIENTS = 1024
_RECEIVE_PAUSE_S = 0.01


async def bind_udp(address: str, port: int) -> trio.socket.SocketType:
    """Raises OSError where the port is taken."""
    socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    try:
        await socket.bind((address, port))
    except BaseException:
        socket.close()
        raise
    return socket


class _Flow:
    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.socket = socket
        self.scope = trio.CancelScope()


class UdpPort:
    """Serves a bound socket; `MAX_CLIENTS` flows at once, datagrams of further clients are dropped."""

    def __init__(self, port: PublishedPort, balancer: Balancer, node_id: str, *, idle_s: float) -> None:
        self._port = port
        self._balancer = balancer
        self._node_id = node_id
        self._idle_s = idle_s
        self._flows: dict[tuple[str, int], _Flow] = {}

    async def serve(self, socket: trio.socket.SocketType) -> None:
        """Until cancelled; closes the socket."""
        with socket:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        data, client = await socket.recvfrom(DATAGRAM_BYTES)
                    except OSError as error:
                        # An ICMP answer to an earlier datagram, or memory is short; the socket is as good as before.
                        log.info("mesh_datagram_failed", port=str(self._port), reason=str(error))
                        await trio.sleep(_RECEIVE_PAUSE_S)
                        continue
                    await self._forward(socket, data, client, nursery)

    async def _forward(
        self, socket: trio.socket.SocketType, data: bytes, client: tuple[str, int], nursery: trio.Nursery
    ) -> None:
        flow = self._flows.get(client)
        if flow is None:
            flow = await self._open(client)
            if flow is None:
                return
            nursery.start_soon(self._answers, socket, flow, client)
        flow.scope.deadline = trio.current_time() + self._idle_s
        try:
            await flow.socket.send(data)
        except OSError as error:
            log.info("mesh_datagram_lost", port=str(self._port), reason=str(error))

    async def _open(self, client: tuple[str, int]) -> _Flow | None:
        if len(self._flows) >= MAX_CLIENTS:
            return None
        for backend in self._balancer.order(trio.current_time()):
            if backend.node_id == self._node_id:
                upstream = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
                await upstream.connect((backend.address, backend.port))
                flow = self._flows[client] = _Flow(upstream)
                return flow
        return None

    async def _answers(self, socket: trio.socket.SocketType, flow: _Flow, client: tuple[str, int]) -> None:
        try:
            with flow.scope, flow.socket:
                while True:
                    data = await flow.socket.recv(DATAGRAM_BYTES)
                    flow.scope.deadline = trio.current_time() + self._idle_s
                    await socket.sendto(data, client)
        except OSError as error:
            # The replica is gone; the client's next datagram opens another flow.
            log.info("mesh_flow_ended", port=str(self._port), reason=str(error))
        finally:
            if self._flows.get(client) is flow:
                del self._flows[client]
