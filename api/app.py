"""The application: the route table on Quart, and what holds for every request and answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from quart import Response, request, websocket
from quart_trio import QuartTrio

from api import sockets
from api.answer import JSON, encode_error
from api.auth.authenticator import Authenticator
from api.call import Services
from api.deps import Deps
from api.dispatch import Dispatcher
from api.errors import ApiError, translate
from api.events.closing import Closing
from api.events.frames import Frames
from api.hypercorn_fixes.empty_frames import WebsocketConnection
from api.hypercorn_fixes.stream_errors import HttpConnection
from api.journal import Journal
from api.limits import RateLimits
from api.memo import Memo
from api.route import Route, RouteTable
from api.routes import all_routes, all_sockets
from api.sockets import SocketRoute


class Api(QuartTrio):
    """One node's API. `journal.run` must run beside it (api/serve.py does that)."""

    asgi_http_class = HttpConnection
    asgi_websocket_class = WebsocketConnection

    def __init__(self, deps: Deps, routes: Iterable[Route], socket_routes: Iterable[SocketRoute]) -> None:
        super().__init__(__name__, static_folder=None)
        self.closing = Closing()
        self.journal = Journal(deps)
        table = RouteTable(routes)
        self.routes = table.routes
        services = Services(
            deps=deps,
            table=table,
            authenticator=Authenticator(deps, self.journal),
            closing=self.closing,
            journal=self.journal,
            limits=RateLimits(deps.settings),
            frames=Frames(),
            items=Memo(),
            order=Memo(most=1),
        )
        self.dispatcher = Dispatcher(services)
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
        for socket in socket_routes:
            self.add_websocket(socket.rule, socket.name, sockets.view(self.dispatcher, socket))
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


def create_app(deps: Deps) -> Api:
    """The whole of ``/api``, as an ASGI application for trio.

    Raises:
        api.route.RouteTableError: a route does not say who may use it.
    """
    return Api(deps, all_routes(), all_sockets())
