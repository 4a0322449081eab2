"""The application: the route table on Quart, and what holds for every request and answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from quart import Response, request, websocket
from quart_trio import QuartTrio

from api.answer import JSON, encode_error
from api.auth.authenticator import Authenticator
from api.call import Services
from api.deps import Deps
from api.dispatch import Dispatcher, authorise
from api.errors import ApiError, AuthenticationFailed, translate
from api.events import websocket as event_socket
from api.events.closing import Closing
from api.events.feed import Feed, Filter
from api.hypercorn_fixes.empty_frames import WebsocketConnection
from api.hypercorn_fixes.stream_errors import HttpConnection
from api.limits import RateLimits
from api.query import Query
from api.route import Access, Parameter, Route, check
from api.routes import all_routes
from api.routes.stream import PARAMETERS as EVENT_PARAMETERS

SOCKET_RULE = "/api/ws"
SOCKET_ACCESS = Access.VIEW
SOCKET_PARAMETERS = (*EVENT_PARAMETERS, Parameter("token", description="a token or an API key"))


class Api(QuartTrio):
    """One node's API."""

    asgi_http_class = HttpConnection
    asgi_websocket_class = WebsocketConnection

    def __init__(self, deps: Deps, routes: Iterable[Route]) -> None:
        super().__init__(__name__, static_folder=None)
        self.closing = Closing()
        self.routes = check(routes)
        self.dispatcher = Dispatcher(Services(deps, Authenticator(deps), self.closing), RateLimits(deps.settings))
        self.config["MAX_CONTENT_LENGTH"] = deps.settings.body_limit_bytes
        # A double slash names nothing, and is not worth a redirect.
        self.url_map.merge_slashes = False
        for route in self.routes:
            self.add_url_rule(
                route.rule,
                route.name,
                _view(self.dispatcher, route),
                methods=[route.method],
                provide_automatic_options=False,
            )
        self.add_websocket(SOCKET_RULE, "WS /ws", _event_view(self.dispatcher))
        self.before_request(self._admit_request)
        self.before_websocket(self._admit_websocket)
        self.after_request(self._complete)
        self.register_error_handler(Exception, self._answer_error)

    async def _admit_request(self) -> None:
        self.dispatcher.admit(request)

    async def _admit_websocket(self) -> None:
        self.dispatcher.admit(websocket)

    async def _complete(self, response: Response) -> Response:
        for name, value in self.dispatcher.headers().items():
            response.headers[name] = value
        return response

    async def _answer_error(self, error: Exception) -> Response:
        return error_response(translate(error))

    async def error_response(self, error: Exception) -> Response:
        """The whole answer to `error`, outside a request."""
        return await self._complete(error_response(translate(error)))


def error_response(error: ApiError) -> Response:
    return Response(encode_error(error), status=error.status, content_type=JSON, headers=error.headers)


def _view(dispatcher: Dispatcher, route: Route) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        return await dispatcher.answer(route, path)

    return view


def _event_view(dispatcher: Dispatcher) -> Callable[[], Awaitable[None]]:
    async def view() -> None:
        services = dispatcher.services
        deps, authenticator = services.deps, services.authenticator
        query = Query(websocket.args.items(multi=True))
        query.refuse_unknown(SOCKET_PARAMETERS)
        token = query.text("token") or _bearer(websocket.headers.get("Authorization"))
        if token is not None:
            identity = authenticator.identify_token(token)
        else:
            identity = await authenticator.identify(websocket.headers.get("Authorization"))
        dispatcher.charge(identity)
        authorise(identity, SOCKET_ACCESS)

        def still_allowed() -> bool:
            try:
                if token is not None:
                    authenticator.identify_token(token)
            except AuthenticationFailed:
                return False
            return identity.user_id in deps.replica.state.users

        wanted = Filter.of(query.words("types"), query.words("resources"))
        since = query.text("since") or websocket.headers.get("Last-Event-Id")
        feed = Feed(deps.replica, since=since, wanted=wanted)
        await websocket.accept()
        await event_socket.run(
            websocket,
            feed,
            services.closing,
            heartbeat_s=deps.settings.heartbeat_s,
            still_allowed=still_allowed,
        )

    return view


def _bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def create_app(deps: Deps) -> Api:
    """The whole of ``/api``, as an ASGI application for trio.

    Raises:
        api.route.RouteTableError: a route does not say who may use it.
    """
    return Api(deps, all_routes())
