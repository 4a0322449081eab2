"""The routing mesh: a listener on this node for every published port of the cluster (design.md §6, `host_port`).

Listeners come and go with the replica. A port that somebody else holds is a problem to show, not an error: it is
tried again until it can be had or nobody publishes it any more.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Set

import structlog
import trio
from msgspec import Struct

from consensus.machine import Machine
from runtime.backoff import Backoff
from runtime.network.balancer import Balancer
from runtime.network.dial import SERVICE, Dialer, MeshServer
from runtime.network.route_table import RouteTable
from runtime.network.routes import PublishedPort, Route
from runtime.network.tcp_port import TcpPort, listen_tcp
from runtime.network.udp_port import UdpPort, bind_udp
from runtime.peers import PeerCalls, PeerFailures, PeerServices

log = structlog.get_logger()


class MeshConfig(Struct, frozen=True, kw_only=True):
    """Attributes:
    bind_address: where published ports are opened.
    max_connections: at once for each port; more wait in the kernel's queue.
    idle_s: a connection on which nothing moves for so long is closed.
    udp_idle_s: a client's datagrams go to the same replica until it was silent for so long.
    rebind_first_s, rebind_last_s: pauses while a port is taken.
    """

    bind_address: str = "0.0.0.0"
    max_connections: int = 4096
    idle_s: float = 3600.0
    udp_idle_s: float = 60.0
    rebind_first_s: float = 0.5
    rebind_last_s: float = 30.0


class _Published:
    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.scope = trio.CancelScope()


class Mesh:
    """Publishes this node's replica's ports.

    Attributes:
        problems: ports that cannot be opened here now, and why.
        open_ports: ports that are open here now.
    """

    def __init__(
        self,
        *,
        node_id: str,
        machine: Machine,
        peers: PeerCalls,
        peer_failures: PeerFailures,
        rng: random.Random,
        config: MeshConfig | None = None,
    ) -> None:
        self._machine = machine
        self._config = config or MeshConfig()
        self._rng = rng
        self._table = RouteTable()
        self._touched: set[str] = set()
        self._node_id = node_id
        self._dialer = Dialer(node_id, peers, peer_failures=peer_failures)
        self._server = MeshServer(
            node_id,
            machine,
            peer_failures=peer_failures,
            idle_s=self._config.idle_s,
            udp_idle_s=self._config.udp_idle_s,
        )
        self._published: dict[PublishedPort, _Published] = {}
        self.problems: dict[PublishedPort, str] = {}
        self.open_ports: set[PublishedPort] = set()

    def serve(self, services: PeerServices) -> None:
        """Registers this node's end of other nodes' connections."""
        services.serve_stream(SERVICE, self._server.handle)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled, which ends all connections."""
        self._machine.on_touch(self._touch)
        self._touched |= set(self._machine.state.apps)
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    index = self._machine.watch.index
                    self._reconcile(nursery)
                    await self._machine.watch.changed(index)
        finally:
            self._machine.off_touch(self._touch)

    def _touch(self, apps: Set[str]) -> None:
        self._touched |= apps

    def _reconcile(self, nursery: trio.Nursery) -> None:
        touched, self._touched = self._touched, set()
        for front in self._table.update(self._machine.state, touched):
            if isinstance(front, PublishedPort):
                self._publish(front, self._table.routes.get(front), nursery)

    def _publish(self, port: PublishedPort, route: Route | None, nursery: trio.Nursery) -> None:
        published = self._published.get(port)
        if route is None:
            if published is not None:
                self._published.pop(port).scope.cancel()
            return
        if published is None:
            first = zlib.crc32(self._node_id.encode())
            published = self._published[port] = _Published(Balancer(self._rng, first=first))
            nursery.start_soon(self._keep_open, port, published, nursery)
        published.balancer.set_route(route)

    async def _keep_open(self, port: PublishedPort, published: _Published, nursery: trio.Nursery) -> None:
        backoff = Backoff(first_s=self._config.rebind_first_s, last_s=self._config.rebind_last_s)
        with published.scope:
            while True:
                try:
                    await self._open(port, published, nursery)
                except OSError as error:
                    self._problem(port, error)
                    await trio.sleep(backoff.next_s())
        # A successor for the same port may be there already, and then the state is its.
        if port not in self._published:
            self.problems.pop(port, None)

    async def _open(self, port: PublishedPort, published: _Published, nursery: trio.Nursery) -> None:
        address = self._config.bind_address
        if port.protocol == "udp":
            socket = await bind_udp(address, port.host_port)
            udp = UdpPort(port, published.balancer, self._dialer, idle_s=self._config.udp_idle_s)
            with self._opened(port):
                await udp.serve(socket)
        else:
            listener = await listen_tcp(address, port.host_port)
            tcp = TcpPort(
                port,
                published.balancer,
                self._dialer,
                max_connections=self._config.max_connections,
                idle_s=self._config.idle_s,
            )
            with self._opened(port):
                await tcp.serve(listener, nursery)

    def _opened(self, port: PublishedPort) -> _Opened:
        if self.problems.pop(port, None) is not None:
            log.info("port_open_at_last", port=str(port))
        return _Opened(self.open_ports, port)

    def _problem(self, port: PublishedPort, error: OSError) -> None:
        if port not in self.problems:
            log.warning("port_not_open", port=str(port), address=self._config.bind_address, reason=str(error))
        self.problems[port] = str(error)


class _Opened:
    """Keeps a port in the set of open ones."""

    def __init__(self, ports: set[PublishedPort], port: PublishedPort) -> None:
        self._ports, self._port = ports, port

    def __enter__(self) -> None:
        self._ports.add(self._port)

    def __exit__(self, *_: object) -> None:
        self._ports.discard(self._port)
