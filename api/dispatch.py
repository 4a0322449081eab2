"""From a request to its answer: limits, who asks, whether they may, parameters, then the handler."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import trio
from msgspec import Struct
from msgspec.structs import replace

from api import compression, etags, versions
from api.answer import Answer, Raw, Reply, Stream, encoded, whole
from api.auth.authenticator import bearer
from api.auth.identity import Identity
from api.auth.reach import EVERYWHERE, Reach
from api.call import Call, Services
from api.errors import PermissionDenied
from api.limits import enforce, headers, tighter
from api.longpoll import LongPoll
from api.query import COMMON, Query
from api.ratelimit import Budget
from api.request import Request
from api.route import Access, Need, Route, Subject
from consensus.errors import Unavailable
from consensus.namespaces import namespace_of

BARRIER_PAUSE_S = 0.1


class Asked:
    """Who asks, and what is left of the rate limits for them. `address` is their IP address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.budget: Budget | None = None


class Dispatcher(Struct, frozen=True):
    """The steps that every request goes through."""

    services: Services

    def admit(self, asked: Asked) -> None:
        """Before anything else is looked at. Raises RateLimited."""
        asked.budget = self.services.limits.of_ip(asked.address, self.services.deps.now_s())
        enforce(asked.budget)

    def require_fit(self) -> None:
        """Raises Unavailable while this node's replica is known to be wrong."""
        reason = self.services.deps.cluster.unfit
        if reason is not None:
            raise Unavailable(reason)

    def charge(self, asked: Asked, identity: Identity, *, cost: int = 1) -> None:
        """Raises RateLimited."""
        budget = self.services.limits.of_user(identity.user_id, self.services.deps.now_s(), cost=cost)
        asked.budget = tighter(asked.budget, budget)
        enforce(budget)

    async def answer(self, request: Request, asked: Asked, route: Route, path: Mapping[str, str]) -> Reply:
        address = asked.address
        versions.check(request.headers.get("accept"))
        target = request.path.removeprefix("/api")
        identity, reach, still_allowed = None, EVERYWHERE, lambda: True
        if route.access is not Access.PUBLIC:
            self.require_fit()
            authorization = request.headers.get("authorization")
            identity = await self.services.authenticator.identify(authorization, address)
            if route.counted:
                self.charge(asked, identity)
            reach = authorise(self.services, identity, route, path=path, target=target, address=address)
            still_allowed = self.services.authenticator.watch(identity, bearer(authorization), route.need, reach)
        call = Call(
            services=self.services,
            route=route,
            path=path,
            target=target,
            address=address,
            query=read_query(route, request.query()),
            headers=request.headers,
            identity=identity,
            reach=reach,
            still_allowed=still_allowed,
            read_body=partial(request.body.whole, self.services.deps.settings.body_limit_bytes),
            is_head=request.method == "HEAD",
            pieces=request.body if route.upload else None,
        )
        return await self._respond(call)

    async def _respond(self, call: Call) -> Reply:
        if not call.route.reads:
            return await render(await call.route.handler(call), call)
        if call.query.boolean("consistent"):
            await self._confirm()
        poll = LongPoll(call.query, call.deps.replica, self.services.closing)
        await poll.first()
        while True:
            reply = await render(await self._made(call), call)
            if reply.status != 304 or not await poll.again():
                return reply

    async def _made(self, call: Call) -> Answer | Raw | Stream:
        """The answer to a read; one that follows from the State alone is made once of each State."""
        if not call.route.of_state:
            return await call.route.handler(call)
        answers, state = self.services.answers, call.state
        key = (call.target, call.reach, *call.query.values.items())
        known = answers.find(key, state)
        if known is None:
            made = await call.route.handler(call)
            if not isinstance(made, Answer):
                return made
            raw = encoded(made)
            known = answers.keep(key, state, replace(raw, digest=etags.digest_of(raw.body)))
        return known

    async def _confirm(self) -> None:
        """Raises Unavailable where no leader confirms it in `leader_wait_s`."""
        deps = self.services.deps
        deadline_s = trio.current_time() + deps.settings.leader_wait_s
        while True:
            try:
                await deps.cluster.read_barrier()
                return
            except Unavailable:
                if trio.current_time() + BARRIER_PAUSE_S > deadline_s:
                    raise
            await trio.sleep(BARRIER_PAUSE_S)

    def headers(self, asked: Asked | None) -> dict[str, str]:
        """What every answer carries: this node's place in the cluster, and what is left of the rate limit."""
        deps = self.services.deps
        cluster = deps.cluster
        told = {"X-Hivemind-Leader": cluster.leader_id or "", "X-Hivemind-Index": str(deps.replica.index)}
        contact_s = cluster.last_leader_contact_s
        if contact_s is not None:
            told["X-Hivemind-Last-Contact-Ms"] = str(round(contact_s * 1000))
        if asked is not None and asked.budget is not None:
            told |= headers(asked.budget, deps.now_s())
        return told


class _Operation(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def need(self) -> Need: ...
    @property
    def place(self) -> Subject | None: ...


def authorise(
    services: Services, identity: Identity, route: _Operation, *, path: Mapping[str, str], target: str, address: str
) -> Reach:
    """Where they may do it. Raises PermissionDenied, also where the row in question is beyond that, and notes it."""
    state, place = services.deps.replica.state, route.place
    try:
        reach = identity.authorise(route.need)
        if place is not None and not reach.everywhere and path[place.variable] in getattr(state, place.table):
            identity.authorise_in(route.need, namespace_of(state, place.table, path[place.variable]))
        return reach
    except PermissionDenied as error:
        services.journal.note(
            user_id=identity.user_id,
            address=address,
            action=route.name,
            target=target,
            outcome=error.code,
            message=error.message,
        )
        raise


def read_query(route: Route, query: Query) -> Query:
    """Raises InvalidRequest where there are parameters that `route` does not take."""
    if route.listing is None:
        query.refuse_unknown((*route.parameters, *COMMON) if route.reads else route.parameters)
    return query


async def render(answer: Answer | Raw | Stream, call: Call) -> Reply:
    """What the handler of `call` returned, as it goes out."""
    if isinstance(answer, Stream):
        headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Reply(200, headers, b"" if call.is_head else answer.body)
    raw = encoded(answer) if isinstance(answer, Answer) else answer
    body, status = raw.body, raw.status
    added: dict[str, str] = {}
    if call.route.reads and status == 200:
        row = etags.row_of(call.route, call.path, call.state)
        tag = etags.of_answer(raw.digest or etags.digest_of(body), row)
        if etags.matches(call.headers.get("if-none-match"), tag):
            return Reply(304, {"ETag": tag}, b"")
        added["ETag"] = tag
    if len(body) >= compression.LEAST_BYTES:
        added["Vary"] = "Accept-Encoding"
        coding = compression.choose(call.headers.get("accept-encoding"))
        if coding is not None:
            body = await compression.compress(body, coding)
            added["Content-Encoding"] = coding
            if "ETag" in added:
                added["ETag"] = "W/" + added["ETag"]
    return whole(status, body, raw.content_type, added)
