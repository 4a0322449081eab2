"""The calling side of one kept connection: many calls at once, answered in any order."""

from __future__ import annotations

from typing import Any

import trio

from hivemind.peer.client import Dialler
from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import PeerError, PeerRefusal, PeerUnreachable
from hivemind.peer.messages import Answer, Cancel, Failure, Message, Ping, Pong, Refused, Request
from hivemind.peer.outbox import Outbox


class OutgoingCall:
    """A call on its way; ``settled`` when its fate is known."""

    def __init__(self, service: str, request: Any) -> None:
        self.service = service
        self.request = request
        self.sent = False
        """Whether it may have reached the other side."""
        self.settled = trio.Event()
        self.body: Any = None
        self.error: PeerError | None = None


class CallConnection:
    """Dials, then carries calls until it is idle or lost; then it is over for good."""

    def __init__(self, node_id: str, dialler: Dialler, config: PeerConfig) -> None:
        self.node_id = node_id
        self.opened = trio.Event()
        """Set when calls can be sent, or when there will never be a connection: see ``failure``."""
        self.failure: PeerError | None = None
        self._dialler = dialler
        self._config = config
        self._connection: Connection | None = None
        self._outbox = Outbox(
            max_frames=2 * config.max_calls_per_peer,
            max_bytes=config.rpc_queue_bytes,
            batch_bytes=config.batch_bytes,
        )
        self._pending: dict[int, OutgoingCall] = {}
        self._last_id = 0
        self._users = 0
        self._owed = False
        """The peer has not sent anything since we last said something that has an answer."""
        self._activity_s = 0.0

    async def call(self, call: OutgoingCall) -> Any:
        """Send a request and wait for its answer; cancelling tells the other side.

        Raises:
            PeerUnreachable, PeerRefusal, FrameTooLarge
        """
        self._users += 1
        try:
            await self.opened.wait()
            if self.failure is not None or self._connection is None:
                raise self._lost(ambiguous=False)
            return await self._call(self._connection, call)
        finally:
            self._users -= 1
            self._activity_s = trio.current_time()

    async def _call(self, connection: Connection, call: OutgoingCall) -> Any:
        self._last_id += 1
        call_id = self._last_id
        frame = connection.encode(Request(call_id, call.service, call.request))
        self._pending[call_id] = call
        try:
            await self._outbox.put(frame)
            call.sent = self._owed = True
            await call.settled.wait()
        except trio.Cancelled:
            if call.sent:
                self._outbox.offer(connection.encode(Cancel(call_id)))
            raise
        finally:
            self._pending.pop(call_id, None)
        if call.error is not None:
            raise call.error
        return call.body

    async def run(self) -> None:
        """Be this connection, from dialling to its end. Never raises for what the network does."""
        failure: PeerError | None = None
        try:
            self._connection = await self._dialler.dial(self.node_id, "rpc")
        except PeerError as error:
            failure = error
        except trio.Cancelled:
            failure = PeerUnreachable(self.node_id, "the peer channel is closed")
            raise
        else:
            try:
                await self._carry(self._connection)
            except trio.Cancelled:
                failure = PeerUnreachable(self.node_id, "the peer channel is closed", ambiguous=True)
                raise
            finally:
                await self._connection.aclose()
        finally:
            self._end(failure or PeerUnreachable(self.node_id, "the connection was lost", ambiguous=True))

    async def _carry(self, connection: Connection) -> None:
        """Carry calls until the end, and set ``failure`` to why in the same step: no call may slip in."""
        self._activity_s = trio.current_time()
        self.opened.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, connection, nursery.cancel_scope)
            nursery.start_soon(self._ping, connection)
            reason = await self._read(connection)
            self.failure = PeerUnreachable(self.node_id, reason, ambiguous=True)
            nursery.cancel_scope.cancel()

    async def _read(self, connection: Connection) -> str:
        silent_since_s = trio.current_time()
        while True:
            messages: list[Message] | None = None
            with trio.move_on_after(self._config.ping_interval_s) as scope:
                try:
                    messages = await connection.receive_batch()
                except ConnectionLost as error:
                    return str(error)
            now_s = trio.current_time()
            if not scope.cancelled_caught:
                silent_since_s = now_s
                self._owed = False
                problem = self._take(messages)
                if problem:
                    return problem
            elif not self._users and not self._owed:
                silent_since_s = now_s
                if now_s - self._activity_s >= self._config.rpc_idle_s:
                    return "idle"
            elif now_s - silent_since_s >= self._config.rpc_silence_s:
                return f"it has been silent for {self._config.rpc_silence_s:g} s"

    def _take(self, messages: list[Message] | None) -> str:
        """Act on what arrived; returns why the connection is over, if it is."""
        if messages is None:
            return "it closed the connection"
        for message in messages:
            match message:
                case Answer(call_id, body):
                    self._settle(call_id, body, None)
                case Failure(call_id, code, text):
                    self._settle(call_id, None, PeerRefusal(code, text))
                case Pong():
                    pass
                case Refused(_, text):
                    return f"it ended the connection: {text}"
                case other:
                    return f"it sent {type(other).__name__} on a connection for calls"
        return ""

    async def _write(self, connection: Connection, scope: trio.CancelScope) -> None:
        try:
            while True:
                await connection.send_bytes(await self._outbox.take())
        except ConnectionLost:
            # The reader learns the reason too, after what had still arrived; it ends both of us.
            await trio.sleep(self._config.ping_interval_s)
            scope.cancel()

    async def _ping(self, connection: Connection) -> None:
        """Also after calls that were given up: where nothing comes back, the next one shall not wait for that."""
        while True:
            await trio.sleep(self._config.ping_interval_s)
            if (self._pending or self._owed) and not len(self._outbox):
                self._owed |= self._outbox.offer(connection.encode(Ping()))

    def _settle(self, call_id: int, body: Any, error: PeerError | None) -> None:
        pending = self._pending.pop(call_id, None)
        if pending is not None:
            pending.body = body
            pending.error = error
            pending.settled.set()

    def _end(self, failure: PeerError) -> None:
        self.failure = self.failure or failure
        self.opened.set()
        for pending in self._pending.values():
            pending.error = self._lost(ambiguous=pending.sent)
            pending.settled.set()
        self._pending.clear()
        self._outbox.close()

    def _lost(self, *, ambiguous: bool) -> PeerError:
        """An own exception for each caller: a shared one would collect all their tracebacks."""
        failure = self.failure
        if isinstance(failure, PeerUnreachable):
            return type(failure)(failure.node_id, failure.reason, ambiguous=ambiguous)
        if isinstance(failure, PeerRefusal):
            return PeerRefusal(failure.code, failure.message)
        return PeerUnreachable(self.node_id, "the connection was lost", ambiguous=ambiguous)


class CallPool:
    """At most one connection for calls to each peer; lost or idle ones are dialled anew when needed."""

    def __init__(self, dialler: Dialler, config: PeerConfig, nursery: trio.Nursery) -> None:
        self._dialler = dialler
        self._config = config
        self._nursery = nursery
        self._connections: dict[str, CallConnection] = {}
        self._slots: dict[str, trio.Semaphore] = {}

    @property
    def open_count(self) -> int:
        return len(self._connections)

    async def call(self, node_id: str, call: OutgoingCall) -> Any:
        """As :meth:`CallConnection.call`; waits while too many calls to this peer are in flight."""
        slots = self._slots.get(node_id)
        if slots is None:
            slots = self._slots[node_id] = trio.Semaphore(self._config.max_calls_per_peer)
        async with slots:
            return await self._connection(node_id).call(call)

    def _connection(self, node_id: str) -> CallConnection:
        connection = self._connections.get(node_id)
        if connection is None or connection.failure is not None:
            connection = CallConnection(node_id, self._dialler, self._config)
            self._connections[node_id] = connection
            self._nursery.start_soon(self._run, connection)
        return connection

    async def _run(self, connection: CallConnection) -> None:
        try:
            await connection.run()
        finally:
            if self._connections.get(connection.node_id) is connection:
                del self._connections[connection.node_id]
