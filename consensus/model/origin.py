"""Where a command came from: who asked, what must still hold, and whether it was asked before."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.namespace import Reach
from consensus.outcomes import AnyOutcome


class Once(Struct, frozen=True):
    """A client's Idempotency-Key, and a fingerprint of the request that it stands for."""

    key: str
    fingerprint: str


class Guard(Struct, frozen=True):
    """A client's If-Match: the row's digest (consensus/digest.py) that it saw; `*` wants any row to be there."""

    table: str
    key: str
    digest: str


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user's request, for the audit log. `action` is the operation, such as ``POST /deploy``; `target` its path.

    `reach`: where the user may do what the command does; None: everywhere. One a command: a batch has several. Empty
    where all of it is allowed everywhere.
    """

    user_id: str
    address: str
    action: str
    target: str = ""
    once: Once | None = None
    guard: Guard | None = None
    reach: tuple[Reach | None, ...] = ()


class OnceRecord(Struct, frozen=True, kw_only=True):
    """What a request with an Idempotency-Key did: a second one is answered the same and does nothing."""

    key: str
    fingerprint: str
    outcome: AnyOutcome
    time_s: float
