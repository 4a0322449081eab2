"""The routing mesh: a listener on this node for every published port of the cluster (design.md §6, `host_port`).

Listeners come and go with the replica. A port that somebody else holds is a problem to show, not an error: it is
tried again until it can be had or nobody publishes it any more.
"""

from __future__ import annotations

import errno
import random
import zlib
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

import structlog
import trio
from msgspec import Struct

from consensus.machine import Machine
from consensus.state import State
from runtime.backoff import Backoff
from runtime.network.balancer import Balancer
from runtime.network.dial import SERVICE, Dialer, MeshServer
from runtime.network.nft.balance import Here, is_kernels
from runtime.network.permission import Gate
from runtime.network.route_table import RouteTable, is_news
from runtime.network.routes import Front, PublishedPort, Route, ServiceAddress
from runtime.network.tcp_port import Allows, TcpPort, listen_tcp
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


class _Served:
    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.scope = trio.CancelScope()


class Mesh:
    """Serves this node's replica's published ports, and the virtual addresses that the kernel cannot serve.

    Args:
        virtual: this node's part in the overlay, where its kernel leads virtual addresses to endpoints.

    Attributes:
        problems: ports that cannot be opened here now, and why.
        taken: those of them that another program has.
        open_ports: ports that are open here now.
        proxied: the port at the overlay's gateway where a virtual address is served.
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
        virtual: Callable[[State, str], Here | None] = lambda state, node_id: None,
    ) -> None:
        self._machine = machine
        self._config = config or MeshConfig()
        self._rng = rng
        self._virtual = virtual
        self._here: Here | None = None
        self._gate = Gate(node_id)
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
        self._served: dict[Front, _Served] = {}
        self._proxied_changed = trio.Event()
        self.problems: dict[Front, str] = {}
        self.taken: frozenset[PublishedPort] = frozenset()
        self._taken_changed = trio.Event()
        self.open_ports: set[Front] = set()
        self.proxied: dict[Front, int] = {}

    def serve(self, services: PeerServices) -> None:
        """Registers this node's end of other nodes' connections."""
        services.serve_stream(SERVICE, self._server.handle)

    async def proxied_changed(self) -> None:
        """Returns when `proxied` is another."""
        await self._proxied_changed.wait()

    async def taken_changed(self) -> None:
        """Returns when `taken` is another."""
        await self._taken_changed.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled, which ends all connections."""
        self._machine.on_touch(self._touch)
        self._touched |= set(self._machine.state.apps)
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    index, seen = self._machine.watch.index, self._machine.state
                    self._reconcile(nursery)
                    while not is_news(seen, self._machine.state):
                        index = await self._machine.watch.changed(index)
        finally:
            self._machine.off_touch(self._touch)

    def _touch(self, apps: Set[str]) -> None:
        self._touched |= apps

    def _reconcile(self, nursery: trio.Nursery) -> None:
        touched, self._touched = self._touched, set()
        state = self._machine.state
        changed = self._table.update(state, touched)
        here = self._virtual(state, self._node_id)
        if here != self._here:
            self._here = here
            changed = set(self._table.routes)
        for front in changed:
            self._follow(front, self._table.routes.get(front), nursery)

    def _follow(self, front: Front, route: Route | None, nursery: trio.Nursery) -> None:
        served = self._served.get(front)
        if route is None or not self._is_ours(front, route):
            if served is not None:
                self._served.pop(front).scope.cancel()
            return
        if served is None:
            first = zlib.crc32(self._node_id.encode())
            served = self._served[front] = _Served(Balancer(self._rng, first=first))
            nursery.start_soon(self._keep_open, front, served, nursery)
        served.balancer.set_route(route)

    def _is_ours(self, front: Front, route: Route) -> bool:
        """Published ports are always open here: the kernel takes what it can before they see it."""
        return isinstance(front, PublishedPort) or (self._here is not None and not is_kernels(route, self._here))

    async def _keep_open(self, front: Front, served: _Served, nursery: trio.Nursery) -> None:
        backoff = Backoff(first_s=self._config.rebind_first_s, last_s=self._config.rebind_last_s)
        with served.scope:
            while True:
                try:
                    await self._open(front, served, nursery)
                except OSError as error:
                    self._problem(front, error)
                    await trio.sleep(backoff.next_s())
        # A successor for the same port may be there already, and then the state is its.
        if front not in self._served:
            self.problems.pop(front, None)
            self._set_taken(front, taken=False)

    async def _open(self, front: Front, served: _Served, nursery: trio.Nursery) -> None:
        address, number = self._place(front)
        if front.protocol == "udp":
            socket = await bind_udp(address, number)
            udp = UdpPort(
                front, served.balancer, self._dialer, allows=self._allows(front), idle_s=self._config.udp_idle_s
            )
            with self._opened(front, socket):
                await udp.serve(socket)
        else:
            listener = await listen_tcp(address, number)
            tcp = TcpPort(
                front,
                served.balancer,
                self._dialer,
                allows=self._allows(front),
                max_connections=self._config.max_connections,
                idle_s=self._config.idle_s,
            )
            with self._opened(front, listener.socket):
                await tcp.serve(listener, nursery)

    def _place(self, front: Front) -> tuple[str, int]:
        if isinstance(front, PublishedPort):
            return self._config.bind_address, front.host_port
        if self._here is None:
            raise OSError("this node has left the overlay")
        return self._here.gateway, 0

    def _allows(self, front: Front) -> Allows:
        return lambda client, backend: self._gate.allows(self._machine.state, client, backend, front.protocol)

    @contextmanager
    def _opened(self, front: Front, socket: trio.socket.SocketType) -> Iterator[None]:
        if self.problems.pop(front, None) is not None:
            log.info("port_open_at_last", port=str(front))
            self._set_taken(front, taken=False)
        self.open_ports.add(front)
        if isinstance(front, ServiceAddress):
            self._set_proxied(front, socket.getsockname()[1])
        try:
            yield
        finally:
            self.open_ports.discard(front)
            self._set_proxied(front, None)

    def _set_proxied(self, front: Front, port: int | None) -> None:
        if port is not None:
            self.proxied[front] = port
        elif self.proxied.pop(front, None) is None:
            return
        self._proxied_changed.set()
        self._proxied_changed = trio.Event()

    def _problem(self, front: Front, error: OSError) -> None:
        if front not in self.problems:
            log.warning("port_not_open", port=str(front), address=self._place(front)[0], reason=str(error))
        self.problems[front] = str(error)
        self._set_taken(front, taken=error.errno == errno.EADDRINUSE)

    def _set_taken(self, front: Front, *, taken: bool) -> None:
        if not isinstance(front, PublishedPort) or (front in self.taken) is taken:
            return
        self.taken = self.taken | {front} if taken else self.taken - {front}
        self._taken_changed.set()
        self._taken_changed = trio.Event()
