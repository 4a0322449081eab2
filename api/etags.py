"""ETags (RFC 9110, 8.8.3): ``"<row>.<content>"``.

`content` changes with any byte of the answer: If-None-Match looks at the whole. `row` is the version of the row that
the answer is about, without what follows from elsewhere (a node's load, an app's running replicas): If-Match looks
only at that, so an update fails where somebody else updated, and not where a container started meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from api.errors import InvalidRequest
from api.route import Route
from consensus.digest import digest
from consensus.model.origin import Guard
from consensus.state import State

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def digest_of(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def of_answer(content: str, row: str) -> str:
    """`content` is the body's digest."""
    return f'"{row}.{content}"' if row else f'"{content}"'


def row_of(route: Route, path: Mapping[str, str], state: State) -> str:
    """The version of the row that `route` is about; "" where it is about none."""
    if route.subject is None:
        return ""
    row = getattr(state, route.subject.table).get(path[route.subject.variable])
    return "" if row is None else digest(row)


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this already (weak comparison)."""
    if not if_none_match:
        return False
    return if_none_match.strip() == "*" or tag.strip('"') in _TAG.findall(if_none_match)


def guard(if_match: str | None, table: str, key: str) -> Guard | None:
    """What must still hold when the command is applied.

    Raises:
        InvalidRequest: the header is not one ETag that this API made for a resource, and not ``*``.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return Guard(table, key, "*")
    tags = _TAG.findall(if_match)
    row = tags[0].partition(".")[0] if len(tags) == 1 else ""
    if not re.fullmatch(r"[0-9a-f]{12}", row):
        raise InvalidRequest("header If-Match: expected the ETag of the resource that is changed, or *")
    return Guard(table, key, row)
