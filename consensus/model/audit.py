"""The audit log: who did, or tried, what, from where, and how it ended."""

from __future__ import annotations

from msgspec import Struct

REMEMBERED = 10_000
"""The newest records that are kept: some 3 MB of state."""


class AuditNote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was tried. `outcome`: done, or the code of the error; `message` says more."""

    time_s: float
    user_id: str
    address: str
    action: str
    target: str = ""
    outcome: str = "done"
    message: str = ""


class AuditRecord(AuditNote, frozen=True, kw_only=True, omit_defaults=True):
    """`number` counts all records for all time; `index` is the log index of the entry that holds it."""

    number: int
    index: int
