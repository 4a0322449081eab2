"""WebSockets: their routes, and what happens before one is accepted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from msgspec import Struct
from quart import g, websocket
from quart.wrappers import Websocket

from api.auth.authenticator import bearer
from api.auth.identity import Identity
from api.auth.reach import Reach
from api.call import Services
from api.dispatch import Asked, Dispatcher, authorise
from api.hypercorn_fixes.early_answers import SEND_RAW
from api.query import Query
from api.route import Access, Need, Parameter, Subject

TOKEN = Parameter("token", description="a token or an API key, where no Authorization header can be set")


class SocketCall(Struct, frozen=True, kw_only=True):
    """One WebSocket that was let in; the handler accepts it.

    Attributes:
        path: the path's variables.
        headers: by lowercase name.
        reach: where the client may do what the route is for.
        still_allowed: whether the credentials that were shown are still valid, and allow as much.
    """

    services: Services
    socket: Websocket
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    identity: Identity
    reach: Reach
    address: str
    still_allowed: Callable[[], bool]

    @property
    def send_raw(self) -> Callable[[bytes], Awaitable[None]] | None:
        """Puts whole frames on the connection; None where the server cannot (in tests)."""
        state = cast("dict[str, Any]", self.socket.scope.get("state") or {})
        found: Callable[[bytes], Awaitable[None]] | None = state.get(SEND_RAW)
        return found


class SocketRoute(Struct, frozen=True, kw_only=True):
    """`path` is below ``/api``; `place` says whose namespace it is about; the rest is as in `api.route.Route`."""

    path: str
    access: Access
    permission: str
    handler: Callable[[SocketCall], Awaitable[None]]
    parameters: tuple[Parameter, ...] = ()
    place: Subject | None = None

    @property
    def name(self) -> str:
        return f"WS {self.path}"

    @property
    def need(self) -> Need:
        return Need(self.access, self.permission)

    @property
    def rule(self) -> str:
        return "/api" + re.sub(r"\{(\w+)\}", r"<\1>", self.path)


def view(dispatcher: Dispatcher, route: SocketRoute) -> Callable[..., Awaitable[None]]:
    """What Quart calls."""

    async def run(**path: str) -> None:
        services = dispatcher.services
        asked: Asked = g.asked
        address = asked.address
        dispatcher.require_fit()
        query = Query(websocket.args.items(multi=True))
        query.refuse_unknown((*route.parameters, TOKEN))
        authorization = websocket.headers.get("Authorization")
        token = query.text("token") or bearer(authorization)
        if token is not None:
            identity = services.authenticator.identify_token(token)
        else:
            identity = await services.authenticator.identify(authorization, address)
        dispatcher.charge(asked, identity)
        # The path alone: a query string may hold the token.
        target = websocket.path.removeprefix("/api")
        reach = authorise(services, identity, route, path=path, target=target, address=address)
        headers = {name.lower(): value for name, value in websocket.headers.items()}
        await route.handler(
            SocketCall(
                services=services,
                socket=websocket._get_current_object(),  # type: ignore[attr-defined]
                path=path,
                query=query,
                headers=headers,
                identity=identity,
                reach=reach,
                address=address,
                still_allowed=services.authenticator.watch(identity, token, route.need, reach),
            )
        )

    return run
