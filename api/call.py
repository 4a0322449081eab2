"""One request, as handlers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from api import body as bodies
from api.answer import Answer
from api.auth.authenticator import Authenticator
from api.auth.identity import Identity
from api.deps import Deps
from api.errors import InvalidRequest, UnsupportedMediaType, refused
from api.events.closing import Closing
from api.listing import select
from api.query import Query
from api.route import Route
from consensus.commands import AnyCommand
from consensus.outcomes import AnyOutcome, Refusal
from consensus.state import State

T = TypeVar("T")


class Services(Struct, frozen=True):
    """What all requests of an app share."""

    deps: Deps
    authenticator: Authenticator
    closing: Closing


class Call:
    """What a handler is given.

    Attributes:
        path: the path's variables.
        identity: who asks; on PUBLIC routes, too, nobody.
        headers: by lowercase name.
    """

    def __init__(
        self,
        *,
        services: Services,
        route: Route,
        path: Mapping[str, str],
        query: Query,
        headers: Mapping[str, str],
        identity: Identity | None,
        read_body: Callable[[], Awaitable[bytes]],
    ) -> None:
        self.services = services
        self.deps = services.deps
        self.route = route
        self.path = path
        self.query = query
        self.headers = headers
        self._identity = identity
        self._read_body = read_body

    @property
    def identity(self) -> Identity:
        if self._identity is None:
            raise RuntimeError(f"{self.route.name} is public, so it has no identity")
        return self._identity

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

    async def propose(self, command: AnyCommand) -> AnyOutcome:
        """The outcome once it is applied here. Raises what a Refusal means, and Unavailable or Timeout."""
        committed = await self.deps.proposer.propose(command, timeout_s=self.deps.settings.propose_timeout_s)
        if isinstance(committed.outcome, Refusal):
            raise refused(committed.outcome)
        return committed.outcome

    def listed(self, items: Iterable[Struct]) -> Answer:
        """The page of `items` that was asked for."""
        if self.route.listing is None:
            raise RuntimeError(f"{self.route.name} is not declared as a list")
        return Answer(select(items, self.query, self.route.listing))


def refuse_problems(problems: Iterable[tuple[str, str]]) -> None:
    """Raises InvalidRequest naming every field in `problems` (pairs of path and what was expected)."""
    told = [f"{path}: {expected}" for path, expected in problems]
    if told:
        raise InvalidRequest("; ".join(told))
