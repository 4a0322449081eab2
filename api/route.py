"""The shape of the route table. A route says who may use it and which parameters it takes, or it is refused."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from consensus.model.user import Role
from consensus.namespaces import TABLES

if TYPE_CHECKING:
    from api.answer import Answer, Raw, Stream
    from api.call import Call

    Handler = Callable[[Call], Awaitable[Answer | Raw | Stream]]


class Access(enum.IntEnum):
    """Who may use a route; each includes those below. SELF: anybody who has authenticated, for what is their own."""

    PUBLIC = 0
    SELF = 1
    VIEW = 2
    OPERATE = 3
    ADMIN = 4

    @property
    def role(self) -> Role:
        """The least built-in role that has this access; not for PUBLIC and SELF."""
        return next(role for role, access in ROLE_ACCESS.items() if access is self)


ROLE_ACCESS: Mapping[Role, Access] = {
    Role.VIEWER: Access.VIEW,
    Role.OPERATOR: Access.OPERATE,
    Role.ADMIN: Access.ADMIN,
}


class Need(Struct, frozen=True):
    """What an operation needs: a built-in role's access, or a permission of an own role for it."""

    access: Access
    permission: str

    @property
    def resource(self) -> str:
        return self.permission.partition(":")[0]

    @property
    def verb(self) -> str:
        return self.permission.partition(":")[2]


VERBS = ("read", "create", "update", "delete", "exec")
RESOURCES = (
    "apps", "jobs", "containers", "logs", "services", "volumes", "deployments", "alerts", "events",
    "nodes", "cluster", "metrics", "users", "roles", "groups", "api-keys", "audit",
    "network-policies",
)  # fmt: skip
NAMESPACED = frozenset(RESOURCES[:9])
"""These may be in a namespace; a permission that is limited to a scope holds for no others."""


class Kind(enum.StrEnum):
    """What a query parameter's text must be."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"
    DURATION = "duration"


class Parameter(Struct, frozen=True):
    name: str
    kind: Kind = Kind.STRING
    description: str = ""


class Listing(Struct, frozen=True):
    """A list of `item` Structs answered under `key`. `aliases`: documented filter → field."""

    key: str
    item: type[Struct]
    aliases: Mapping[str, str] = field(default_factory=dict)


class Subject(Struct, frozen=True):
    """The row that a route is about: its table in the State, and the path's variable that is its key."""

    table: str
    variable: str


class Route(Struct, frozen=True, kw_only=True):
    """One operation. `path` is below ``/api``, with ``{name}`` for its variables.

    Attributes:
        permission: ``resource:verb``; "" only where `access` is PUBLIC or SELF.
        parameters: the query parameters besides the common ones.
        body: the Struct that the body must be, or None.
        answer: the type of the answer's `data`; None where it has no envelope (`media_type`) or is a list.
        other_answers: status and type of `data` of other successes, where parameters ask for something else, and of
            refusals that may have a form of their own.
        enveloped: False where the JSON goes out as it is.
        streams: the media types of answers that are streams, where the query asks for one.
        listing: set where the answer is a list.
        subject: set where the answer's ETag, or an If-Match, is about one row.
        owner: the row whose namespace all that the route is about is in, where that is not the subject.
        sifted: whether the handler itself leaves out what is beyond `Call.reach`.
        of_state: whether a read's answer follows from the State and the query alone, whoever asks wherever.
        counted: False where the request costs the user nothing: it is many, and each is charged.
        upload: whether the body is taken in piece by piece, however long it is (`Call.pieces`).
        batchable: False where it cannot be part of a batch.
        replicated: whether a change is one command and nothing else, so that it can be part of an atomic batch.
    """

    method: str
    path: str
    access: Access
    handler: Handler
    permission: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    answer: Any = None
    status: int = 200
    other_answers: tuple[tuple[int, Any], ...] = ()
    media_type: str = "application/json"
    enveloped: bool = True
    streams: tuple[str, ...] = ()
    listing: Listing | None = None
    subject: Subject | None = None
    owner: Subject | None = None
    sifted: bool = False
    of_state: bool = False
    counted: bool = True
    upload: bool = False
    batchable: bool = True
    replicated: bool = True

    @property
    def need(self) -> Need:
        return Need(self.access, self.permission)

    @property
    def place(self) -> Subject | None:
        """The row whose namespace says who may use it; None: lists and commands say it of each row."""
        subject = self.owner or self.subject
        return subject if subject is not None and subject.table in TABLES else None

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


class RouteTable:
    """All routes, and which of them a method and a path mean."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = check(routes)
        self._patterns = [
            (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path))) for route in self.routes
        ]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """`path` is below ``/api``, without a query; its variables are as they were written."""
        for route, pattern in self._patterns:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None


def _names_permission(text: str) -> bool:
    resource, _, verb = text.partition(":")
    return resource in RESOURCES and verb in VERBS


def _heeds_scopes(route: Route) -> bool:
    """Whether something keeps a permission that is limited to a scope within it."""
    if route.place is not None or route.sifted:
        return True
    if "{" in route.path:
        return False
    if not route.reads:
        # What is applied is checked when it is applied.
        return route.replicated
    return route.listing is not None and "namespace" in route.listing.item.__struct_fields__


def check(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes, each once and each with an access.

    Raises:
        RouteTableError: one has none, or two are the same.
    """
    table: dict[str, Route] = {}
    for route in routes:
        if not isinstance(route.access, Access):
            raise RouteTableError(f"{route.name} does not say who may use it")
        if route.access > Access.SELF and not _names_permission(route.permission):
            raise RouteTableError(f"{route.name} does not say which permission it needs: {route.permission!r}")
        if route.access is Access.PUBLIC and not route.reads and route.path != "/auth/login":
            raise RouteTableError(f"{route.name} would let anybody change something")
        if route.need.resource in NAMESPACED and not _heeds_scopes(route):
            raise RouteTableError(f"{route.name} does not say in which namespace it is: owner, a listed `namespace`…")
        key = re.sub(r"\{\w+\}", "{}", route.name)
        if key in table:
            raise RouteTableError(f"{route.name} is there twice")
        table[key] = route
    return tuple(table.values())
