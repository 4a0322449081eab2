"""From a request to its answer: limits, who asks, whether they may, parameters, then the handler."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from quart import Response, g, request
from quart.wrappers import Request, Websocket

from api.answer import JSON, Answer, Raw, Stream, encode_success
from api.auth.identity import Identity
from api.call import Call, Services
from api.errors import PermissionDenied
from api.limits import RateLimits, enforce, headers, tighter
from api.query import COMMON, Query
from api.ratelimit import Budget
from api.route import Access, Route


class Dispatcher(Struct, frozen=True):
    """The steps that every request goes through."""

    services: Services
    limits: RateLimits

    def admit(self, connection: Request | Websocket) -> None:
        """Before anything else is looked at. Raises RateLimited."""
        client = connection.scope.get("client")
        address = str(client[0]) if client else "<local>"
        g.budget = self.limits.of_ip(address, self.services.deps.now_s())
        enforce(g.budget)

    def charge(self, identity: Identity) -> None:
        """Raises RateLimited."""
        budget = self.limits.of_user(identity.user_id, self.services.deps.now_s())
        g.budget = tighter(g.get("budget"), budget)
        enforce(budget)

    async def answer(self, route: Route, path: Mapping[str, str]) -> Response:
        identity = None
        if route.access is not Access.PUBLIC:
            identity = await self.services.authenticator.identify(request.headers.get("Authorization"))
            self.charge(identity)
            authorise(identity, route.access)
        query = Query(request.args.items(multi=True))
        if route.listing is None:
            query.refuse_unknown((*route.parameters, *COMMON))
        if route.reads and query.boolean("consistent"):
            await self.services.deps.cluster.read_barrier()
        call = Call(
            services=self.services,
            route=route,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            identity=identity,
            read_body=_read_body,
        )
        return render(await route.handler(call), head_only=request.method == "HEAD")

    def headers(self) -> dict[str, str]:
        """What every answer carries: this node's place in the cluster, and what is left of the rate limit."""
        deps = self.services.deps
        cluster = deps.cluster
        told = {"X-Hivemind-Leader": cluster.leader_id or "", "X-Hivemind-Index": str(deps.replica.index)}
        contact_s = cluster.last_leader_contact_s
        if contact_s is not None:
            told["X-Hivemind-Last-Contact-Ms"] = str(round(contact_s * 1000))
        budget: Budget | None = g.get("budget") if g else None
        if budget is not None:
            told |= headers(budget, deps.now_s())
        return told


async def _read_body() -> bytes:
    return await request.get_data(cache=True, as_text=False, parse_form_data=False)


def authorise(identity: Identity, access: Access) -> None:
    """Raises PermissionDenied, saying what is missing."""
    if not access.allows(identity.role):
        raise PermissionDenied(f"this needs role {access.role}; {identity.username} has role {identity.role}")


def render(answer: Answer | Raw | Stream, *, head_only: bool) -> Response:
    if isinstance(answer, Answer):
        return Response(encode_success(answer.data), status=answer.status, content_type=JSON)
    if isinstance(answer, Raw):
        return Response(answer.body, content_type=answer.content_type)
    if head_only:
        return Response(b"", content_type=answer.content_type)
    response = Response(answer.body, content_type=answer.content_type)
    response.timeout = None
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
