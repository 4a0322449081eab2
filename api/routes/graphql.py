"""``POST /graphql``, and the same over a WebSocket. graphql-core is imported when the first query comes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from api.answer import JSON, Raw, encode
from api.call import Call
from api.errors import InvalidRequest
from api.route import Access, Route
from api.sockets import SocketCall, SocketRoute


class GraphQLBody(Struct, frozen=True):
    """GraphQL over HTTP."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None
    extensions: dict[str, Any] | None = None


class GraphQLProblem(Struct, frozen=True):
    message: str


class GraphQLRefusal(Struct, frozen=True):
    """Nothing was executed."""

    errors: list[GraphQLProblem]


class GraphQLAnswer(Struct, frozen=True):
    """As GraphQL answers: there may be errors beside data."""

    data: dict[str, Any] | None


async def graphql(call: Call) -> Raw:
    from api.graphql.execution import Rejected, Request, execute, prepare

    body = await call.body(GraphQLBody)
    try:
        prepared = prepare(Request(body.query, body.variables, body.operationName))
        if prepared.subscribes:
            raise InvalidRequest("subscriptions are answered over a WebSocket at this path (graphql-transport-ws)")
    except Rejected as rejected:
        return Raw(encode({"errors": [error.formatted for error in rejected.errors]}), JSON, status=400)
    result = await execute(prepared, call.deps, call.identity)
    return Raw(encode(result.formatted), JSON)


async def graphql_socket(call: SocketCall) -> None:
    from api.graphql.socket import PROTOCOL, Conversation

    asked = call.headers.get("sec-websocket-protocol", "").split(",")
    if PROTOCOL not in map(str.strip, asked):
        raise InvalidRequest(f"header Sec-WebSocket-Protocol: expected {PROTOCOL}")
    await call.socket.accept(subprotocol=PROTOCOL)
    services = call.services
    conversation = Conversation(
        call.socket, services.deps, call.identity, services.closing, still_allowed=call.still_allowed
    )
    await conversation.run()


ROUTES = (
    Route(
        method="POST",
        path="/graphql",
        access=Access.SELF,
        handler=graphql,
        body=GraphQLBody,
        answer=GraphQLAnswer,
        other_answers=((400, GraphQLRefusal),),
        enveloped=False,
        batchable=False,
        replicated=False,
    ),
)
SOCKETS = (SocketRoute(path="/graphql", access=Access.VIEW, permission="events:read", handler=graphql_socket),)
