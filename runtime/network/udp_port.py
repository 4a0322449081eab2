"""One published UDP port. Datagrams of one client go to one endpoint until the client was silent for long."""

from __future__ import annotations

import structlog
import trio

from runtime.network.balancer import Balancer
from runtime.network.datagrams import DATAGRAM_BYTES, exchange
from runtime.network.dial import Dialer, DialFailed
from runtime.network.routes import Front
from runtime.network.tcp_port import Allows

log = structlog.get_logger()

MAX_CLIENTS = 1024
WAITING_DATAGRAMS = 64
"""Of one client, while its endpoint is dialled; more are lost, as in any queue."""
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


class _Client:
    """One client's datagrams, and the way back to it."""

    def __init__(self, socket: trio.socket.SocketType, address: tuple[str, int]) -> None:
        self._socket = socket
        self.address = address
        self.waiting, self._arrived = trio.open_memory_channel[bytes](WAITING_DATAGRAMS)

    def arrived(self, data: bytes) -> None:
        try:
            self.waiting.send_nowait(data)
        except trio.WouldBlock:
            log.info("mesh_datagram_lost", client=self.address[0], reason="its endpoint takes no more")

    async def receive(self) -> bytes | None:
        return await self._arrived.receive()

    async def send(self, data: bytes) -> None:
        await self._socket.sendto(data, self.address)


class UdpPort:
    """Serves a bound socket; `MAX_CLIENTS` flows at once, datagrams of further clients are dropped."""

    def __init__(self, port: Front, balancer: Balancer, dialer: Dialer, *, allows: Allows, idle_s: float) -> None:
        self._port = port
        self._allows = allows
        self._balancer = balancer
        self._dialer = dialer
        self._idle_s = idle_s
        self._clients: dict[tuple[str, int], _Client] = {}

    async def serve(self, socket: trio.socket.SocketType) -> None:
        """Until cancelled; closes the socket."""
        with socket:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        data, address = await socket.recvfrom(DATAGRAM_BYTES)
                    except OSError as error:
                        # An ICMP answer to an earlier datagram, or memory is short; the socket is as good as before.
                        log.info("mesh_datagram_failed", port=str(self._port), reason=str(error))
                        await trio.sleep(_RECEIVE_PAUSE_S)
                        continue
                    client = self._clients.get(address)
                    if client is None:
                        if len(self._clients) >= MAX_CLIENTS:
                            continue
                        client = self._clients[address] = _Client(socket, address)
                        nursery.start_soon(self._flow, client)
                    client.arrived(data)

    async def _flow(self, client: _Client) -> None:
        try:
            await self._pass_on(client)
        finally:
            del self._clients[client.address]

    async def _pass_on(self, client: _Client) -> None:
        balancer, name = self._balancer, client.address[0]
        for backend in balancer.order(name, trio.current_time(), local=self._dialer.node_id):
            if not self._allows(name, backend):
                continue
            try:
                with balancer.connected(backend):
                    async with self._dialer.dial_udp(backend) as upstream:
                        balancer.worked(backend, name, trio.current_time())
                        await exchange(client, upstream, broken=self._dialer.broken, idle_s=self._idle_s)
                        return
            except DialFailed as error:
                balancer.failed(backend, trio.current_time())
                log.info("mesh_dial_failed", port=str(self._port), reason=str(error))
            except self._dialer.broken as error:
                # The client's next datagram opens another flow.
                log.info("mesh_flow_ended", port=str(self._port), reason=str(error))
                return
