"""The application: the route table on Quart, and what holds for every request and answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from quart import Response, g, websocket
from quart_trio import QuartTrio
from werkzeug.routing import Map, MapAdapter, Rule

from api import sockets, static
from api.answer import JSON, Reply, encode_error, error_reply
from api.auth.authenticator import Authenticator
from api.call import Services
from api.deps import Deps
from api.dispatch import Asked, Dispatcher
from api.errors import translate
from api.events.closing import Closing
from api.events.frames import Frames
from api.http_connection import HttpConnection
from api.hypercorn_fixes.empty_frames import WebsocketConnection
from api.journal import Journal
from api.limits import RateLimits
from api.memo import Memo
from api.request import Request
from api.route import Route, RouteTable
from api.routes import all_routes, all_sockets
from api.sockets import SocketRoute

REMEMBERED_ANSWERS = 64


class Api(QuartTrio):
    """One node's API. `journal.run` must run beside it (api/serve.py does that).

    WebSockets go through Quart. Requests do not (http_connection.py): its contexts, hooks, signals and tasks, which
    nothing here uses, are the half of a small answer's time.
    """

    asgi_http_class = HttpConnection  # type: ignore[assignment]
    asgi_websocket_class = WebsocketConnection

    def __init__(self, deps: Deps, routes: Iterable[Route], socket_routes: Iterable[SocketRoute]) -> None:
        super().__init__(__name__, static_folder=None)
        self.closing = Closing()
        self.journal = Journal(deps)
        table = RouteTable(routes)
        self.routes = table.routes
        self._table = table
        self._body_limit_bytes = deps.settings.body_limit_bytes
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
            answers=Memo(most=REMEMBERED_ANSWERS),
        )
        self.dispatcher = Dispatcher(services)
        # A double slash names nothing, and is not worth a redirect.
        self.url_map.merge_slashes = False
        self._by_name = {route.name: route for route in self.routes}
        self._paths = paths_of(self.routes)
        self._files = deps.static
        for socket in socket_routes:
            self.add_websocket(socket.rule, socket.name, sockets.view(self.dispatcher, socket))
        self.before_websocket(self._admit_websocket)
        # Quart's type leaves out that there may be no answer.
        self.after_websocket(self._complete_websocket)  # type: ignore[type-var]
        self.register_error_handler(Exception, self._answer_websocket_error)

    def body_limit_bytes(self, method: str, path: str) -> int | None:
        """How long a request's body may be; None: as long as it takes, since it is not kept."""
        found = self._table.find(method, path.removeprefix("/api"))
        return None if found is not None and found[0].upload else self._body_limit_bytes

    async def handle_request(self, request: Request) -> Reply:  # type: ignore[override]
        asked = Asked(request.address)
        try:
            reply = await self._answer(request, asked)
        except (Exception, BaseExceptionGroup) as error:
            reply = error_reply(translate(error))
        reply.headers.update(self.dispatcher.headers(asked))
        return reply

    async def _answer(self, request: Request, asked: Asked) -> Reply:
        file = static.answer(self._files, request)
        if file is not None:
            return file
        self.dispatcher.admit(asked)
        return await self.dispatcher.answer(request, asked, *self._found(request))

    def _found(self, request: Request) -> tuple[Route, Mapping[str, Any]]:
        """Raises werkzeug.exceptions.NotFound, MethodNotAllowed."""
        name, path = self._paths.match(request.path, request.method)
        return self._by_name[name], path

    async def _admit_websocket(self) -> None:
        client = websocket.scope.get("client")
        g.asked = Asked(str(client[0]) if client else "<local>")
        self.dispatcher.admit(g.asked)

    async def _complete_websocket(self, response: Response | None) -> Response | None:
        if response is not None:
            response.headers.update(self.dispatcher.headers(g.get("asked")))
        return response

    async def _answer_websocket_error(self, error: Exception) -> Response:
        told = translate(error)
        return Response(encode_error(told), status=told.status, content_type=JSON, headers=told.headers)

    def error_reply(self, error: Exception) -> Reply:
        """The whole answer to `error`, outside a request."""
        reply = error_reply(translate(error))
        reply.headers.update(self.dispatcher.headers(None))
        return reply


def paths_of(routes: Iterable[Route]) -> MapAdapter:
    """Which route a path and a method mean: its endpoints are the routes' names."""
    return _map(tuple((route.rule, route.name, route.method) for route in routes)).bind("")


@cache
def _map(rules: tuple[tuple[str, str, str], ...]) -> Map:
    """Of path, name and method. Made once: werkzeug compiles a program for each, which takes 100 ms of CPU for all."""
    paths = [Rule(path, endpoint=name, methods=[method]) for path, name, method in rules]
    return Map(paths, strict_slashes=True, merge_slashes=False, redirect_defaults=False)


def create_app(deps: Deps) -> Api:
    """The whole of ``/api``, as an ASGI application for trio.

    Raises:
        api.route.RouteTableError: a route does not say who may use it.
    """
    return Api(deps, all_routes(), all_sockets())
