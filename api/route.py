"""The shape of the route table. A route says who may use it and which parameters it takes, or it is refused."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from consensus.model.user import Role

if TYPE_CHECKING:
    from api.answer import Answer, Raw, Stream
    from api.call import Call

    Handler = Callable[[Call], Awaitable[Answer | Raw | Stream]]


class Access(enum.IntEnum):
    """Who may use a route; each includes those below."""

    PUBLIC = 0
    VIEW = 1
    OPERATE = 2
    ADMIN = 3

    def allows(self, role: Role) -> bool:
        return ROLE_ACCESS[role] >= self

    @property
    def role(self) -> Role:
        """The least role that has this access; not for PUBLIC."""
        return next(role for role, access in ROLE_ACCESS.items() if access is self)


ROLE_ACCESS: Mapping[Role, Access] = {
    Role.VIEWER: Access.VIEW,
    Role.OPERATOR: Access.OPERATE,
    Role.ADMIN: Access.ADMIN,
}


class Kind(enum.StrEnum):
    """What a query parameter's text must be."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"


class Parameter(Struct, frozen=True):
    name: str
    kind: Kind = Kind.STRING
    description: str = ""


class Listing(Struct, frozen=True):
    """A list of `item` Structs answered under `key`. `aliases`: documented filter → field."""

    key: str
    item: type[Struct]
    aliases: Mapping[str, str] = field(default_factory=dict)


class Route(Struct, frozen=True, kw_only=True):
    """One operation. `path` is below ``/api``, with ``{name}`` for its variables.

    Attributes:
        parameters: the query parameters besides the common ones.
        body: the Struct that the body must be, or None.
        listing: set where the answer is a list.
    """

    method: str
    path: str
    access: Access
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    listing: Listing | None = None

    @property
    def reads(self) -> bool:
        return self.method == "GET"

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def rule(self) -> str:
        """The path as werkzeug writes it."""
        return "/api" + re.sub(r"\{(\w+)\}", r"<\1>", self.path)


class RouteTableError(Exception):
    """The table says something that cannot be meant."""


def check(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes, each once and each with an access.

    Raises:
        RouteTableError: one has none, or two are the same.
    """
    table: dict[str, Route] = {}
    for route in routes:
        if not isinstance(route.access, Access):
            raise RouteTableError(f"{route.name} does not say who may use it")
        if route.access is Access.PUBLIC and not route.reads and route.path != "/auth/login":
            raise RouteTableError(f"{route.name} would let anybody change something")
        key = re.sub(r"\{\w+\}", "{}", route.name)
        if key in table:
            raise RouteTableError(f"{route.name} is there twice")
        table[key] = route
    return tuple(table.values())
