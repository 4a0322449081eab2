"""What happens on accepted connections once their hello is done: calls, links, streams."""

from __future__ import annotations

import structlog
import trio

from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import FrameTooLarge, PeerRefusal
from hivemind.peer.messages import Answer, Cancel, Failure, LinkMessage, Message, Ping, Pong, Refused, Request
from hivemind.peer.metrics import Counters
from hivemind.peer.outbox import Outbox
from hivemind.peer.services import LinkReceiver, Services
from hivemind.peer.stream import PeerStream, serve_to_end

log = structlog.get_logger()


class InboundCalls:
    """Serves one peer's calls on one connection; handlers run side by side, up to a limit."""

    def __init__(
        self, connection: Connection, peer: str, services: Services, config: PeerConfig, counters: Counters
    ) -> None:
        self._connection = connection
        self._peer = peer
        self._services = services
        self._config = config
        self._counters = counters
        self._running: dict[int, trio.CancelScope] = {}
        self._slots = trio.Semaphore(config.max_handlers_per_connection)
        self._outbox = Outbox(
            max_frames=4 * config.max_calls_per_peer,
            max_bytes=config.rpc_queue_bytes,
            batch_bytes=config.batch_bytes,
        )

    async def run(self) -> None:
        """Serve until the peer closes. Raises ConnectionLost."""
        lost: ConnectionLost | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                await self._read(nursery)
            except ConnectionLost as error:
                lost = error
            nursery.cancel_scope.cancel()
        if lost is not None:
            raise lost

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            messages: list[Message] | None = None
            with trio.move_on_after(self._config.rpc_server_idle_s) as scope:
                messages = await self._connection.receive_batch()
            if scope.cancelled_caught and self._running:
                continue
            if messages is None:
                return
            if not messages and not len(self._outbox):
                # Part of a large request: say that we live, a ping is stuck behind it.
                self._outbox.offer(self._connection.encode(Pong()))
            for message in messages:
                await self._take(message, nursery)

    async def _take(self, message: Message, nursery: trio.Nursery) -> None:
        match message:
            case Request(call_id) if call_id in self._running:
                raise ConnectionLost(f"it used the call id {call_id} twice")
            case Request(call_id) if len(self._running) >= 2 * self._config.max_calls_per_peer:
                busy = Failure(call_id, "busy", "too many calls in flight")
                await self._outbox.put(self._connection.encode(busy))
            case Request() as request:
                scope = trio.CancelScope()
                self._running[request.id] = scope
                nursery.start_soon(self._handle, request, scope)
            case Cancel(call_id):
                if call_id in self._running:
                    self._running[call_id].cancel()
            case Ping():
                self._outbox.offer(self._connection.encode(Pong()))
            case Refused(_, text):
                raise ConnectionLost(f"it refused us: {text}")
            case other:
                raise ConnectionLost(f"it sent {type(other).__name__} on a connection for calls")

    async def _handle(self, request: Request, scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with self._slots:
                    frame = await self._answer(request)
                await self._outbox.put(frame)
        finally:
            del self._running[request.id]

    async def _answer(self, request: Request) -> bytes:
        self._counters.calls_served += 1
        try:
            body = await self._services.call(self._peer, request.service, request.body)
            return self._connection.encode(Answer(request.id, body))
        except PeerRefusal as refusal:
            return self._connection.encode(Failure(request.id, refusal.code, refusal.message))
        except FrameTooLarge as error:
            return self._connection.encode(Failure(request.id, "too_large", f"the answer is {error}"))
        except (TypeError, ValueError, OverflowError) as error:
            log.error("peer_answer_not_plain", service=request.service, exc_info=error)
            text = f"{request.service} answered what cannot be encoded"
            return self._connection.encode(Failure(request.id, "internal", text))

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                await self._connection.send_bytes(await self._outbox.take())
        except ConnectionLost:
            scope.cancel()


class InboundLinks:
    """Receives the peers' links: one each, a newer one takes the older one's place."""

    def __init__(self, services: Services, config: PeerConfig) -> None:
        self._services = services
        self._config = config
        self._scopes: dict[str, trio.CancelScope] = {}

    async def run(self, connection: Connection, peer: str, receiver: LinkReceiver) -> None:
        """Hand on messages until the link ends; a silent one is closed. Raises ConnectionLost."""
        older = self._scopes.get(peer)
        if older is not None:
            older.cancel()
        with trio.CancelScope() as scope:
            self._scopes[peer] = scope
            try:
                await self._receive(connection, peer, receiver)
            finally:
                if self._scopes.get(peer) is scope:
                    del self._scopes[peer]

    async def _receive(self, connection: Connection, peer: str, receiver: LinkReceiver) -> None:
        pong_after_s = 0.0
        # One scope whose deadline moves now and then: for each message it would cost as much as decoding that.
        with trio.CancelScope(deadline=trio.current_time() + 4 * self._config.link_silence_s) as scope:
            while True:
                messages = await connection.receive_batch()
                if messages is None:
                    return
                if self._hand_on(messages, peer, receiver):
                    pong_after_s = 0.0
                # Any bytes earn a pong, so that a ping behind a long queue is not missed for a death.
                now_s = trio.current_time()
                if now_s >= pong_after_s:
                    pong_after_s = now_s + self._config.ping_interval_s / 2
                    scope.deadline = now_s + 4 * self._config.link_silence_s
                    await connection.send(Pong())

    @staticmethod
    def _hand_on(messages: list[Message], peer: str, receiver: LinkReceiver) -> bool:
        """Whether one of them was a ping. Raises ConnectionLost."""
        pinged = False
        for message in messages:
            match message:
                case LinkMessage(body):
                    receiver.message(peer, body)
                case Ping():
                    pinged = True
                case Refused(_, text):
                    raise ConnectionLost(f"it refused us: {text}")
                case other:
                    raise ConnectionLost(f"it sent {type(other).__name__} on a link")
        return pinged


async def serve_stream(connection: Connection, peer: str, services: Services, config: PeerConfig) -> None:
    """Run a stream's handler on its connection. Raises ConnectionLost before the request."""
    request = None
    with trio.move_on_after(config.handshake_timeout_s):
        request = await connection.receive()
    if isinstance(request, Refused):
        raise ConnectionLost(f"it refused us: {request.message}")
    if not isinstance(request, Request):
        raise ConnectionLost("the stream's request did not come")
    async with PeerStream(peer, connection, chunk_bytes=config.stream_chunk_bytes) as stream:
        refusal: PeerRefusal | None = None
        try:
            await services.stream(peer, request.service, request.body, stream)
        except PeerRefusal as error:
            refusal = error
        await serve_to_end(stream, refusal, linger_s=config.stream_linger_s)
