"""The audit log: the newest first."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer
from api.call import Call
from api.route import Access, Listing, Route
from consensus.model.audit import AuditRecord
from consensus.timestamp import iso_utc


class AuditItem(Struct, frozen=True, kw_only=True):
    """`id` counts all records for all time. `outcome`: done, or why not."""

    id: int
    timestamp: str
    user_id: str
    address: str
    action: str
    target: str
    outcome: str
    message: str
    index: int


def audit_item(record: AuditRecord) -> AuditItem:
    return AuditItem(
        id=record.number,
        timestamp=iso_utc(record.time_s),
        user_id=record.user_id,
        address=record.address,
        action=record.action,
        target=record.target,
        outcome=record.outcome,
        message=record.message,
        index=record.index,
    )


async def list_records(call: Call) -> Answer:
    records = call.state.audit
    return await call.listed(sorted(records, reverse=True), lambda number: audit_item(records[number]))


ROUTES = (
    Route(
        method="GET",
        path="/audit",
        access=Access.ADMIN,
        permission="audit:read",
        handler=list_records,
        listing=Listing("records", AuditItem, {"user": "user_id"}),
    ),
)
