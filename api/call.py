"""One request, as handlers see it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import trio
from msgspec import Struct
from msgspec.structs import replace

from api import body as bodies
from api import etags
from api import listing as lists
from api.answer import Answer, Raw
from api.auth.authenticator import Authenticator
from api.auth.identity import Identity
from api.auth.reach import Reach
from api.deps import Deps
from api.errors import InvalidRequest, NotFound, UnsupportedMediaType, refused
from api.events.closing import Closing
from api.events.frames import Frames
from api.journal import Journal
from api.limits import RateLimits
from api.memo import Memo
from api.query import Query
from api.route import Route, RouteTable
from api.views.container import ContainerItem
from consensus.commands import AnyCommand
from consensus.model.namespace import Reach as OriginReach
from consensus.model.origin import Guard, Once, Origin
from consensus.model.task import Task
from consensus.outcomes import AnyOutcome, Refusal
from consensus.state import State

S = TypeVar("S")
T = TypeVar("T")
SLICE = 100
MAX_KEY_LENGTH = 255
MAX_TARGET_LENGTH = 500


class Services(Struct, frozen=True):
    """What all requests of an app share."""

    deps: Deps
    table: RouteTable
    authenticator: Authenticator
    closing: Closing
    journal: Journal
    limits: RateLimits
    frames: Frames
    items: Memo[Task, ContainerItem]
    order: Memo[object, list[Task]]
    answers: Memo[State, Raw]


Propose = Callable[[AnyCommand, Origin], Awaitable[AnyOutcome]]


class Call:
    """What a handler is given.

    Attributes:
        path: the path's variables.
        target: the path as it was asked for, below ``/api``.
        address: the client's IP address.
        identity: who asks; on PUBLIC routes, too, nobody.
        reach: where they may do what the route is for.
        still_allowed: whether what was shown is still valid, and allows as much: long answers ask it now and then.
        headers: by lowercase name.
    """

    def __init__(
        self,
        *,
        services: Services,
        route: Route,
        path: Mapping[str, str],
        target: str,
        address: str,
        query: Query,
        headers: Mapping[str, str],
        identity: Identity | None,
        reach: Reach,
        still_allowed: Callable[[], bool],
        read_body: Callable[[], Awaitable[bytes]],
        is_head: bool = False,
        propose: Propose | None = None,
        pieces: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.is_head = is_head
        self.services = services
        self.deps = services.deps
        self.route = route
        self.path = path
        self.target = target
        self.address = address
        self.query = query
        self.headers = headers
        self.reach = reach
        self.still_allowed = still_allowed
        self._identity = identity
        self._read_body = read_body
        self._propose = propose or self._propose_now
        self._pieces = pieces

    @property
    def identity(self) -> Identity:
        if self._identity is None:
            raise RuntimeError(f"{self.route.name} is public, so it has no identity")
        return self._identity

    @property
    def pieces(self) -> AsyncIterator[bytes]:
        """The body of an upload as it comes."""
        if self._pieces is None:
            raise RuntimeError(f"{self.route.name} is not declared as an upload")
        return self._pieces

    @property
    def state(self) -> State:
        return self.deps.replica.state

    @property
    def now_s(self) -> float:
        return self.deps.now_s()

    async def body(self, kind: type[T]) -> T:
        """The JSON body. Raises InvalidRequest, UnsupportedMediaType, PayloadTooLarge."""
        media_type = self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        # curl -d says x-www-form-urlencoded where nothing else is asked for; the body tells.
        if media_type != "application/json" and not media_type.endswith(("+json", "/x-www-form-urlencoded")):
            raise UnsupportedMediaType(f"expected a body of type application/json, got {media_type[:80]!r}")
        return bodies.decode(await self._read_body(), kind)

    async def has_body(self) -> bool:
        """Whether there is one, where the route can do without."""
        return bool((await self._read_body()).strip())

    async def propose(self, command: AnyCommand, *, about: tuple[str, str] | None = None) -> AnyOutcome:
        """The outcome once it is applied here. Raises what a Refusal means, and Unavailable or Timeout.

        `about`: table and key of the row that If-Match speaks of; by default the route's subject.
        """
        outcome = await self.submit(command, about=about)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        return outcome

    async def submit(
        self,
        command: AnyCommand,
        *,
        about: tuple[str, str] | None = None,
        target: str | None = None,
        reach: tuple[OriginReach | None, ...] | None = None,
    ) -> AnyOutcome:
        """As `propose`, but a Refusal is returned.

        `target` is what the audit log says of it. `reach` of each command of a batch; by default the route's.
        """
        reach = (self.origin_reach,) if reach is None else reach
        origin = Origin(
            user_id=self.identity.user_id,
            address=self.address,
            action=self.route.name,
            target=(target or self.target)[:MAX_TARGET_LENGTH],
            once=await self._once(),
            guard=self._guard(about),
            reach=reach if any(reach) else (),
        )
        return await self._propose(command, origin)

    @property
    def origin_reach(self) -> OriginReach | None:
        """The route's reach as a command carries it."""
        namespaces = self.reach.namespaces
        return None if namespaces is None else OriginReach(self.route.permission, tuple(sorted(namespaces)))

    async def _propose_now(self, command: AnyCommand, origin: Origin) -> AnyOutcome:
        timeout_s = self.deps.settings.propose_timeout_s
        return (await self.deps.proposer.propose(command, timeout_s=timeout_s, origin=origin)).outcome

    @property
    def idempotency_key(self) -> str | None:
        """Raises InvalidRequest where the header is no key."""
        key = self.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
            raise InvalidRequest(f"header Idempotency-Key: expected 1 to {MAX_KEY_LENGTH} printable ASCII characters")
        return key

    async def _once(self) -> Once | None:
        key = self.idempotency_key
        if key is None:
            return None
        request = f"{self.route.method} {self.target}\n".encode() + await self._read_body()
        return Once(key, hashlib.blake2b(request, digest_size=12).hexdigest())

    def _guard(self, about: tuple[str, str] | None) -> Guard | None:
        if_match, subject = self.headers.get("if-match"), self.route.subject
        if if_match is None:
            return None
        if about is None:
            if subject is None:
                raise InvalidRequest("header If-Match: this operation is not about one resource")
            about = (subject.table, self.path[subject.variable])
        return etags.guard(if_match, *about)

    def named(self, rows: Mapping[str, T], variable: str, noun: str) -> T:
        """The row of `rows` that the path's `variable` names. Raises NotFound."""
        row = rows.get(self.path[variable])
        if row is None:
            raise NotFound(f"there is no {noun} {self.path[variable]!r}")
        return row

    def require(self, namespace: str) -> None:
        """For what is done in `namespace` without a command. Raises PermissionDenied."""
        if not self.reach.holds(namespace):
            self.identity.authorise_in(self.route.need, namespace)

    def note(self, message: str = "") -> None:
        """Writes down for the audit log what was done without a command of the user's."""
        self.services.journal.note(
            user_id=self.identity.user_id,
            address=self.address,
            action=self.route.name,
            target=self.target,
            outcome="done",
            message=message,
        )

    def _within(self, item: Any) -> bool:
        return self.reach.holds(item.namespace)

    async def listed(self, sources: Sequence[S], show: Callable[[S], Struct]) -> Answer:
        """The page that was asked for of what `show` makes of `sources`.

        They are made in slices, so that nobody waits for them, and only the page where it can be cut first.
        `sources` must not change meanwhile: they come from one State.
        """
        listing = self.route.listing
        if listing is None:
            raise RuntimeError(f"{self.route.name} is not declared as a list")
        request = lists.read(self.query, listing)
        if self.route.place is None and not self.reach.everywhere:
            request = replace(request, filters=(self._within, *request.filters))
        total = len(sources)
        if request.as_they_come:
            sources = sources[request.offset : request.offset + request.limit]
        found: list[Struct] = []
        for start in range(0, len(sources), SLICE):
            found += [item for item in map(show, sources[start : start + SLICE]) if request.wants(item)]
            await trio.lowlevel.checkpoint()
        if request.as_they_come:
            return Answer(lists.page_of(found, total, request, listing))
        page = lists.in_order(found, request)[request.offset : request.offset + request.limit]
        return Answer(lists.page_of(page, len(found), request, listing))


def refuse_problems(problems: Iterable[tuple[str, str]]) -> None:
    """Raises InvalidRequest naming every field in `problems` (pairs of path and what was expected)."""
    told = [f"{path}: {expected}" for path, expected in problems]
    if told:
        raise InvalidRequest("; ".join(told))
