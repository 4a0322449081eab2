"""GraphQL over a WebSocket: the protocol graphql-transport-ws, queries and subscriptions.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import msgspec
import trio
from graphql import ExecutionResult, FieldNode, GraphQLError
from graphql.execution.values import get_argument_values, get_variable_values
from msgspec import Struct

from api.answer import encode
from api.auth.identity import Identity
from api.deps import Deps
from api.errors import ApiError
from api.events.closing import Closing
from api.events.feed import GAP, Feed, Filter
from api.events.websocket import GOING_AWAY, TOO_SLOW, UNAUTHENTICATED, CloseReason
from api.graphql.execution import Prepared, Rejected, Request, execute, execute_event, prepare
from api.graphql.schema import schema
from api.graphql.wholes import SEE_EVENTS

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT_S = 10.0
MAX_OPERATIONS = 100


class Socket(Protocol):
    """An accepted WebSocket."""

    async def send(self, data: str) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self, code: int, reason: str = ...) -> None: ...


class _Message(Struct, frozen=True, omit_defaults=True):
    type: str
    id: str = ""
    payload: Any = None


_decoder = msgspec.json.Decoder(_Message)


class _Closed(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.reason = CloseReason(code, reason)


class Conversation:
    """One client. `run` returns when it is over; it is cancelled when the client goes away."""

    def __init__(
        self,
        socket: Socket,
        deps: Deps,
        identity: Identity,
        closing: Closing,
        *,
        still_allowed: Callable[[], bool],
    ) -> None:
        self._socket = socket
        self._deps = deps
        self._identity = identity
        self._closing = closing
        self._still_allowed = still_allowed
        self._running: dict[str, trio.CancelScope] = {}
        self._why: CloseReason | None = None

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                await self._greet()
                while True:
                    await self._take(await self._next(), nursery)
            except _Closed as closed:
                self._end(closed.reason, nursery.cancel_scope)
        if self._why is not None:
            await self._socket.close(self._why.code, self._why.reason)

    def _end(self, why: CloseReason, scope: trio.CancelScope) -> None:
        self._why = self._why or why
        scope.cancel()

    async def _watch(self, scope: trio.CancelScope) -> None:
        while True:
            with self._closing.wait_scope(self._deps.settings.heartbeat_s):
                await trio.sleep_forever()
            if self._closing.closed:
                self._end(GOING_AWAY, scope)
            elif not self._still_allowed():
                self._end(UNAUTHENTICATED, scope)
            else:
                await self._send(_Message("ping"))

    async def _send(self, message: _Message) -> None:
        await self._socket.send(encode(message).decode())

    async def _next(self) -> _Message:
        text = await self._socket.receive()
        try:
            return _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _Closed(4400, f"not a message: {error}"[:100]) from None

    async def _greet(self) -> None:
        with trio.move_on_after(INIT_TIMEOUT_S):
            message = await self._next()
            if message.type != "connection_init":
                raise _Closed(4401, "Unauthorized")
            await self._send(_Message("connection_ack"))
            return
        raise _Closed(4408, "Connection initialisation timeout")

    async def _take(self, message: _Message, nursery: trio.Nursery) -> None:
        match message.type:
            case "ping":
                await self._send(_Message("pong"))
            case "pong":
                return
            case "subscribe":
                await self._subscribe(message, nursery)
            case "complete":
                scope = self._running.pop(message.id, None)
                if scope is not None:
                    scope.cancel()
            case "connection_init":
                raise _Closed(4429, "Too many initialisation requests")
            case _:
                raise _Closed(4400, f"unknown message type {message.type[:20]!r}")

    async def _subscribe(self, message: _Message, nursery: trio.Nursery) -> None:
        if not message.id:
            raise _Closed(4400, "a subscription needs an id")
        if message.id in self._running:
            raise _Closed(4409, f"Subscriber for {message.id[:40]} already exists")
        if len(self._running) >= MAX_OPERATIONS:
            raise _Closed(4429, f"more than {MAX_OPERATIONS} operations at a time")
        try:
            request = msgspec.convert(message.payload, Request)
            prepared = prepare(request)
            feed = self._feed(prepared) if prepared.subscribes else None
        except msgspec.ValidationError as error:
            raise _Closed(4400, str(error)[:100]) from None
        except Rejected as rejected:
            await self._send(_Message("error", message.id, [error.formatted for error in rejected.errors]))
            return
        scope = self._running[message.id] = trio.CancelScope()
        nursery.start_soon(self._answer, message.id, prepared, feed, scope, nursery.cancel_scope)

    def _feed(self, prepared: Prepared) -> Feed:
        """Raises Rejected."""
        # A valid subscription has one root field.
        (node,) = prepared.operation.selection_set.selections
        definition = schema().subscription_type
        try:
            if definition is None:
                raise GraphQLError("there are no subscriptions")
            definitions = prepared.operation.variable_definitions or ()
            variables = get_variable_values(schema(), definitions, prepared.request.variables or {})
            if isinstance(variables, list):
                raise Rejected(variables)
            found = get_argument_values(definition.fields["events"], cast(FieldNode, node), variables)
            reach = self._identity.reach(SEE_EVENTS)
            wanted = Filter.of(reach, found.get("types") or (), found.get("resources") or ())
            return Feed(self._deps.replica, since=found.get("since"), wanted=wanted)
        except ApiError as error:
            raise Rejected([GraphQLError(error.message, extensions={"code": error.code})]) from None
        except GraphQLError as error:
            raise Rejected([error]) from None

    async def _answer(
        self, id: str, prepared: Prepared, feed: Feed | None, scope: trio.CancelScope, whole: trio.CancelScope
    ) -> None:
        with scope:
            if feed is None:
                await self._tell(id, await execute(prepared, self._deps, self._identity))
                await self._send(_Message("complete", id))
            else:
                await self._follow(id, prepared, feed, whole)
        if self._running.get(id) is scope:
            del self._running[id]

    async def _follow(self, id: str, prepared: Prepared, feed: Feed, whole: trio.CancelScope) -> None:
        while True:
            was_live = feed.live
            ready = feed.ready()
            if was_live and ready and ready[0].type == GAP:
                self._end(TOO_SLOW, whole)
            for told in ready:
                await self._tell(id, await execute_event(prepared, self._deps, self._identity, told))
            if not ready:
                await feed.more()

    async def _tell(self, id: str, result: ExecutionResult) -> None:
        await self._send(_Message("next", id, result.formatted))
