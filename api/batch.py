"""Several operations in one request: one after the other, each answered on its own; or all of them or none.

An atomic batch runs every handler up to the command that it would propose, then proposes all commands as one log
entry, and gives each handler its outcome. So its handlers see the cluster as it was before the batch, and apply
(consensus/apply/batch.py) sees what the operations before did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trio
from msgspec import UNSET, Struct, UnsetType

from api.answer import JSON, Answer, encode
from api.auth.reach import EVERYWHERE
from api.call import Call, Propose
from api.dispatch import authorise, read_query
from api.errors import ApiError, ErrorBody, InvalidRequest, NotFound, refused, translate
from api.query import Query
from api.route import Access, Route
from consensus.commands import AnyCommand, Batch
from consensus.model.namespace import Reach
from consensus.model.origin import Origin
from consensus.outcomes import AnyOutcome, Batched, Refusal


class Operation(Struct, frozen=True, forbid_unknown_fields=True):
    """`path` is below ``/api`` and may have a query."""

    method: str
    path: str
    body: Any = None


class Result(Struct, frozen=True, kw_only=True):
    """`data` or `error`."""

    success: bool
    status: int
    data: Any = UNSET
    error: ErrorBody | UnsetType = UNSET


def failure(error: ApiError) -> Result:
    return Result(success=False, status=error.status, error=ErrorBody(error.code, error.message))


async def run(batch: Call, operations: Sequence[Operation]) -> list[Result]:
    """Each operation in order, whatever became of those before."""
    results: list[Result] = []
    for number, operation in enumerate(operations):
        try:
            route, call = _prepare(batch, operation, number)
            results.append(await _finish(route, call))
        except Exception as error:
            results.append(failure(translate(error)))
    return results


async def run_atomically(batch: Call, operations: Sequence[Operation]) -> list[Result]:
    """All operations as one change.

    Raises:
        ApiError: one of them cannot be done; none was.
    """
    prepared = [_Prepared(batch, operation, number) for number, operation in enumerate(operations)]
    async with trio.open_nursery() as nursery:
        for one in prepared:
            nursery.start_soon(one.run)
            await one.stopped.wait()
            one.refuse_unless_proposed()
        target = ", ".join(f"{operation.method} {operation.path}" for operation in operations)
        command = Batch(commands=[one.command for one in prepared if one.command is not None])
        outcome = await batch.submit(command, target=target, reach=tuple(one.reach for one in prepared))
        if isinstance(outcome, Refusal):
            raise _nothing_done(refused(outcome), outcome.operation or 0)
        if not isinstance(outcome, Batched):
            raise TypeError(f"a batch was answered with {type(outcome).__name__}")
        for one, its_outcome in zip(prepared, outcome.outcomes, strict=True):
            one.go_on(its_outcome)
    return [one.result for one in prepared]


def _nothing_done(error: ApiError, number: int) -> ApiError:
    return type(error).told(f"operation {number}: {error.message}; nothing was done", error.headers)


class _Prepared:
    """One operation of an atomic batch: its handler waits where it proposes its command."""

    def __init__(self, batch: Call, operation: Operation, number: int) -> None:
        self.command: AnyCommand | None = None
        self.stopped = trio.Event()
        self._number = number
        self._outcome: AnyOutcome | None = None
        self._resumed = trio.Event()
        self._result: Result | None = None
        self._error: ApiError | None = None
        try:
            self._route, self._call = _prepare(batch, operation, number, propose=self._propose)
            if self._route.reads or not self._route.replicated:
                raise InvalidRequest(f"{self._route.name} cannot be part of an atomic batch")
        except ApiError as error:
            raise _nothing_done(error, number) from None

    @property
    def reach(self) -> Reach | None:
        return self._call.origin_reach

    @property
    def result(self) -> Result:
        if self._result is None:
            return failure(self._error or InvalidRequest("no answer"))
        return self._result

    async def run(self) -> None:
        try:
            self._result = await _finish(self._route, self._call)
        except Exception as error:
            self._error = translate(error)
        finally:
            self.stopped.set()

    async def _propose(self, command: AnyCommand, origin: Origin) -> AnyOutcome:
        self.command = command
        self.stopped.set()
        await self._resumed.wait()
        if self._outcome is None:
            raise RuntimeError("resumed without an outcome")
        return self._outcome

    def refuse_unless_proposed(self) -> None:
        """Raises ApiError where the handler ended without a command."""
        if self._error is not None:
            raise _nothing_done(self._error, self._number)
        if self.command is None:
            raise _nothing_done(InvalidRequest("it changes nothing"), self._number)

    def go_on(self, outcome: AnyOutcome) -> None:
        self._outcome = outcome
        self._resumed.set()


def _prepare(batch: Call, operation: Operation, number: int, *, propose: Propose | None = None) -> tuple[Route, Call]:
    """Raises ApiError."""
    parts = urlsplit(operation.path)
    found = batch.services.table.find(operation.method.upper(), parts.path)
    if found is None:
        raise NotFound(f"there is no {operation.method[:10]} {parts.path[:200]}; paths are relative to /api")
    route, path = found
    if not route.batchable or route.media_type != JSON:
        raise InvalidRequest(f"{route.name} cannot be part of a batch")
    path = {name: unquote(value) for name, value in path.items()}
    reach = EVERYWHERE
    if route.access is not Access.PUBLIC:
        reach = authorise(batch.services, batch.identity, route, path=path, target=parts.path, address=batch.address)
    body = b"" if operation.body is None else encode(operation.body)

    async def read_body() -> bytes:
        return body

    headers = {"content-type": JSON}
    key = batch.idempotency_key
    if key is not None:
        headers["idempotency-key"] = hashlib.blake2b(f"{number}/{key}".encode(), digest_size=16).hexdigest()
    call = Call(
        services=batch.services,
        route=route,
        path=path,
        target=parts.path,
        address=batch.address,
        query=read_query(route, Query(parse_qsl(parts.query, keep_blank_values=True))),
        headers=headers,
        identity=batch.identity,
        reach=reach,
        still_allowed=batch.still_allowed,
        read_body=read_body,
        propose=propose,
    )
    return route, call


async def _finish(route: Route, call: Call) -> Result:
    answer = await route.handler(call)
    if not isinstance(answer, Answer):
        raise InvalidRequest(f"{route.name} is answered with a stream, which cannot be part of a batch")
    return Result(success=True, status=answer.status, data=answer.data)
