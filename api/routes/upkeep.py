"""The cluster's upkeep: who leads it, and a copy of what it has agreed."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Stream
from api.byte_body import ByteBody
from api.call import Call
from api.errors import NotFound
from api.route import Access, Route

BACKUP_TYPE = "application/octet-stream"


class TransferBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`node`: who shall lead; without it the voter that is ahead of the others."""

    node: str | None = None


class LeaderAnswer(Struct, frozen=True):
    leader: str
    previous_leader: str | None
    message: str


async def transfer_leader(call: Call) -> Answer:
    body = await call.body(TransferBody)
    if body.node is not None and body.node not in call.state.nodes:
        raise NotFound(f"there is no node {body.node!r}")
    previous = call.deps.cluster.leader_id
    leader = await call.deps.upkeep.transfer_leadership(body.node)
    call.note()
    return Answer(LeaderAnswer(leader, previous, f"Node {leader} leads now"))


async def back_up(call: Call) -> Stream:
    call.note()
    return Stream(ByteBody(call.deps.upkeep.backup(), bytes), BACKUP_TYPE)


ROUTES = (
    Route(
        method="POST",
        path="/cluster/transfer-leader",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=transfer_leader,
        body=TransferBody,
        answer=LeaderAnswer,
        replicated=False,
    ),
    Route(
        method="GET",
        path="/cluster/backup",
        access=Access.ADMIN,
        permission="cluster:create",
        handler=back_up,
        media_type=BACKUP_TYPE,
        batchable=False,
    ),
)
