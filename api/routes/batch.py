"""``POST /batch``: several operations in one request."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from api.answer import Answer
from api.batch import Operation, Result, run, run_atomically
from api.call import Call
from api.limits import enforce
from api.route import Access, Route

MAX_OPERATIONS = 100


class BatchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`atomic`: all operations, which must be changes, or none."""

    operations: Annotated[list[Operation], Meta(min_length=1, max_length=MAX_OPERATIONS)]
    atomic: bool = False


class BatchAnswer(Struct, frozen=True):
    """In the order of the operations."""

    results: list[Result]


async def batch(call: Call) -> Answer:
    body = await call.body(BatchBody)
    limits = call.services.limits
    enforce(limits.of_user(call.identity.user_id, call.now_s, cost=len(body.operations)))
    results = await (run_atomically if body.atomic else run)(call, body.operations)
    return Answer(BatchAnswer(results))


ROUTES = (
    Route(
        method="POST",
        path="/batch",
        access=Access.SELF,
        handler=batch,
        body=BatchBody,
        answer=BatchAnswer,
        counted=False,
        batchable=False,
        replicated=False,
    ),
)
