"""The cluster's upkeep: who leads it, and a copy of what it has agreed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from msgspec import Struct
from quart.wrappers.response import ResponseBody

from api.answer import Answer, Stream
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


class _Pieces(ResponseBody):
    """Entering it makes the file, so what goes wrong there can still be answered as an error."""

    def __init__(self, pieces: AbstractAsyncContextManager[AsyncIterator[bytes]]) -> None:
        self._pieces = pieces
        self._iterator: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> _Pieces:
        self._iterator = await self._pieces.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pieces.__aexit__(kind, error, trace)

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            raise RuntimeError("enter the body before reading it")
        return await self._iterator.__anext__()


async def transfer_leader(call: Call) -> Answer:
    body = await call.body(TransferBody)
    if body.node is not None and body.node not in call.state.nodes:
        raise NotFound(f"there is no node {body.node!r}")
    previous = call.deps.cluster.leader_id
    leader = await call.deps.upkeep.transfer_leadership(body.node)
    _note(call)
    return Answer(LeaderAnswer(leader, previous, f"Node {leader} leads now"))


async def back_up(call: Call) -> Stream:
    _note(call)
    return Stream(_Pieces(call.deps.upkeep.backup()), BACKUP_TYPE)


def _note(call: Call) -> None:
    call.services.journal.note(
        user_id=call.identity.user_id,
        address=call.address,
        action=call.route.name,
        target=call.target,
        outcome="done",
    )


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
