"""The peer channel: everything that travels over TCP between nodes, behind one face."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio

from hivemind.peer.calls import CallPool, OutgoingCall
from hivemind.peer.client import Dialler, Resolver
from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import ConnectionLost
from hivemind.peer.errors import PeerRefusal, PeerTimeout, PeerUnreachable
from hivemind.peer.identity import Identity
from hivemind.peer.links import Links
from hivemind.peer.messages import Request, plain_copy
from hivemind.peer.metrics import Counters, PeerMetrics
from hivemind.peer.reception import Reception
from hivemind.peer.server import PeerServer
from hivemind.peer.services import CallHandler, LinkReceiver, Services, StreamHandler, unknown_service
from hivemind.peer.stream import PeerStream, memory_duplex_pair, serve_to_end
from hivemind.peer.trust import Trust

log = structlog.get_logger()

JoinHandler = Callable[[str, Any], Awaitable[Any]]

_CLOSE_TIMEOUT_S = 2.0


class PeerChannel:
    """Calls, links and streams between this node and its peers.

    Register services, then ``run`` it; a registered name is for good. ``resolve`` gives a node's
    current address, or None while it is not known.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        bind: tuple[str, int],
        resolve: Resolver,
        rng: random.Random,
        config: PeerConfig | None = None,
    ) -> None:
        self._config = config or PeerConfig()
        self._config.validate()
        self._bind = bind
        self._trust = Trust(identity)
        self._counters = Counters()
        self._services = Services()
        self._dialler = Dialler(self._trust, resolve, self._config, self._counters)
        self._links = Links(self._dialler, self._services, self._config, self._counters, rng)
        self._server = PeerServer(self._trust, self._services, self._config, self._counters, self._links.heard)
        self._dial_limits: dict[str, trio.CapacityLimiter] = {}
        self._open_streams = 0
        self._calls: CallPool | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._address: tuple[str, int] | None = None

    @property
    def node_id(self) -> str:
        return self._trust.us.node_id

    @property
    def reception(self) -> Reception:
        """How the members answer this node's hellos."""
        return self._dialler.reception

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once ``run`` has started."""
        if self._address is None:
            raise RuntimeError("the peer channel does not run yet")
        return self._address

    def serve(self, service: str, handler: CallHandler) -> None:
        """Answer calls of the service: ``handler(peer_node_id, body)``; it may raise PeerRefusal."""
        self._services.add_call(service, handler)

    def serve_stream(self, service: str, handler: StreamHandler) -> None:
        """Serve streams: ``handler(peer_node_id, request, stream)``; returning ends our side.

        A handler notices only in ``send`` and ``receive`` that the other side left: one that may be
        quiet for long should keep a ``receive`` waiting.
        """
        self._services.add_stream(service, handler)

    def serve_join(self, handler: JoinHandler) -> None:
        """Answer joiners, which have no certificate: ``handler(address, request)``.

        The request is ``{"node_id", "secret", "csr_pem", "body"}``, all from a stranger: check each.
        """
        self._services.join = handler

    def on_contact(self, handler: Callable[[str], None]) -> None:
        """Tell ``handler`` which node a connection came from, and to which one a link is up. It must not raise."""
        self._services.contact = handler

    def turn_away(self, reason: Callable[[str], str | None]) -> None:
        """Refuse new connections of those nodes, by id, for which ``reason`` gives one."""
        self._services.turn_away = reason

    def listen(self, receiver: LinkReceiver) -> None:
        """Hand everything that concerns links to the receiver. Before ``run``."""
        self._services.receiver = receiver

    def connect(self, node_id: str) -> None:
        """Keep a link to the node: dialled now, and again whenever it is lost."""
        if node_id == self.node_id:
            raise ValueError("a node keeps no link to itself")
        self._links.connect(node_id)

    def disconnect(self, node_id: str) -> None:
        """Keep it no longer."""
        self._links.disconnect(node_id)

    def send(self, node_id: str, body: Any) -> bool:
        """Send on the link; never blocks. False: no link is up, or its queue is full."""
        return self._links.send(node_id, body)

    async def call(self, node_id: str, service: str, body: Any, *, timeout_s: float) -> Any:
        """Call a service at a node, also at this one.

        Raises:
            PeerUnreachable: no connection, or it was lost (``ambiguous``: it may have been handled).
            PeerTimeout: no answer within ``timeout_s``.
            PeerRefusal: the handler said no.
            FrameTooLarge: the body is over the frame limit.
        """
        self._counters.calls += 1
        call = OutgoingCall(service, body)
        with trio.move_on_after(timeout_s):
            if node_id == self.node_id:
                call.sent = True
                return plain_copy(await self._services.call(node_id, service, plain_copy(body)))
            return await self._pool(node_id).call(node_id, call)
        raise PeerTimeout(node_id, service, timeout_s, ambiguous=call.sent)

    @asynccontextmanager
    async def open_stream(self, node_id: str, service: str, request: Any) -> AsyncIterator[PeerStream]:
        """A stream to a service at a node, also at this one; closed at the end of the block.

        Raises:
            PeerUnreachable, PeerRefusal (there is no such service)
        """
        if node_id == self.node_id:
            async with self._local_stream(service, request) as stream:
                yield stream
            return
        self._pool(node_id)
        limit = self._dial_limits.setdefault(node_id, trio.CapacityLimiter(self._config.max_dials_per_peer))
        async with limit:
            connection = await self._dialler.dial(node_id, "stream", service)
        self._open_streams += 1
        try:
            async with PeerStream(node_id, connection, chunk_bytes=self._config.stream_chunk_bytes) as stream:
                try:
                    await connection.send(Request(0, service, request))
                except ConnectionLost as error:
                    raise PeerUnreachable(node_id, str(error)) from error
                yield stream
        finally:
            self._open_streams -= 1

    def use(self, identity: Identity) -> None:
        """Use a renewed identity of this node for new connections; the present ones stay."""
        self._trust.use(identity)
        log.info("identity_changed", not_after=identity.certificate.not_valid_after_utc.isoformat())

    def metrics(self) -> PeerMetrics:
        """The counters now."""
        self._counters.open_outbound = (
            self._open_streams + self._links.open_count + (self._calls.open_count if self._calls else 0)
        )
        return self._counters.snapshot()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve until cancelled or closed; started once it listens. Raises OSError for the bind."""
        host, port = self._bind
        listeners = await trio.open_tcp_listeners(port, host=host)
        self._address = (host, int(listeners[0].socket.getsockname()[1]))
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    self._calls = CallPool(self._dialler, self._config, nursery)
                    self._links.start(nursery)
                    for listener in listeners:
                        nursery.start_soon(self._server.serve, listener)
                    task_status.started()
        finally:
            self._calls = self._nursery = None
            self._links.stop()
            self._ended.set()

    async def aclose(self) -> None:
        """Close everything, whatever the other sides do; at most 2 s."""
        self._scope.cancel()
        if self._address is not None:
            with trio.move_on_after(_CLOSE_TIMEOUT_S):
                await self._ended.wait()

    def _pool(self, node_id: str) -> CallPool:
        if self._calls is None:
            raise PeerUnreachable(node_id, "the peer channel does not run")
        return self._calls

    @asynccontextmanager
    async def _local_stream(self, service: str, request: Any) -> AsyncIterator[PeerStream]:
        if not self._services.has_stream(service):
            raise unknown_service(service)
        nursery = self._nursery
        if nursery is None:
            raise PeerUnreachable(self.node_id, "the peer channel does not run")
        ours, theirs = memory_duplex_pair()
        chunk_bytes = self._config.stream_chunk_bytes
        served = PeerStream(self.node_id, theirs, chunk_bytes=chunk_bytes)
        nursery.start_soon(self._serve_local, service, plain_copy(request), served)
        async with PeerStream(self.node_id, ours, chunk_bytes=chunk_bytes) as stream:
            yield stream

    async def _serve_local(self, service: str, request: Any, stream: PeerStream) -> None:
        async with stream:
            refusal: PeerRefusal | None = None
            try:
                await self._services.stream(self.node_id, service, request, stream)
            except PeerRefusal as error:
                refusal = error
            await serve_to_end(stream, refusal, linger_s=self._config.stream_linger_s)
