"""From a GraphQL request to its answer."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from msgspec import Struct, field

from api.auth.identity import Identity
from api.deps import ContainerGone, Deps, NodeUnreachable
from api.errors import InvalidRequest
from api.events.feed import Filter, remembered
from api.graphql import limits
from api.graphql.schema import schema
from api.graphql.wholes import SEE_EVENTS
from api.graphql.world import World

INLINE_COST = 200
"""Above this a query takes milliseconds: not for the loop."""
STATS_AT_ONCE = 16
MAX_STATS = 200
STATS_TIMEOUT_S = 5.0
MAX_ERRORS = 10


class Request(Struct, frozen=True):
    """The body of ``POST /graphql`` (GraphQL over HTTP), and of `subscribe`."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)


class Prepared(Struct, frozen=True):
    document: DocumentNode
    operation: OperationDefinitionNode
    request: Request
    cost: int

    @property
    def subscribes(self) -> bool:
        return self.operation.operation is OperationType.SUBSCRIPTION


class Rejected(Exception):
    """Nothing was executed; `errors` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


def prepare(request: Request) -> Prepared:
    """Raises Rejected."""
    try:
        document = parse(request.query, max_tokens=limits.MAX_TOKENS)
        errors = validate(schema(), document, max_errors=MAX_ERRORS)
        if errors:
            raise Rejected(errors)
        operation = get_operation_ast(document, request.operationName)
        if operation is None:
            raise GraphQLError("operationName: expected the name of one of the query's operations")
        cost = limits.check(document, operation, request.variables or {})
    except GraphQLError as error:
        raise Rejected([error]) from None
    except RecursionError:
        raise Rejected([GraphQLError("the query is nested too deep")]) from None
    return Prepared(document, operation, request, cost)


async def execute(prepared: Prepared, deps: Deps, identity: Identity) -> ExecutionResult:
    """The answer to a query. All of it is of one State."""
    world = World(deps, identity)
    result = await _run(prepared, world)
    if world.wanted_stats or world.wanted_events:
        await _fetch_stats(world, deps)
        await _fetch_events(world, deps)
        result = await _run(prepared, world)
    return result


async def execute_event(prepared: Prepared, deps: Deps, identity: Identity, event: Any) -> ExecutionResult:
    """The answer to a subscription for one event."""
    return await _run(prepared, World(deps, identity), root=event)


async def _run(prepared: Prepared, world: World, *, root: Any = None) -> ExecutionResult:
    run = partial(
        execute_sync,
        schema(),
        prepared.document,
        root,
        world,
        variable_values=prepared.request.variables or {},
        operation_name=prepared.request.operationName,
    )
    if prepared.cost <= INLINE_COST:
        return run()
    return await trio.to_thread.run_sync(run)


async def _fetch_stats(world: World, deps: Deps) -> None:
    """Of the first `MAX_STATS`; what does not come in time is null."""
    limiter = trio.CapacityLimiter(STATS_AT_ONCE)

    async def fetch(task_id: str) -> None:
        async with limiter:
            try:
                world.stats[task_id] = await deps.containers.stats(world.state.tasks[task_id])
            except (NodeUnreachable, ContainerGone):
                return

    with trio.move_on_after(STATS_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            for task_id in list(world.wanted_stats)[:MAX_STATS]:
                if world.state.tasks[task_id].node_id is not None:
                    nursery.start_soon(fetch, task_id)
    for task_id in world.wanted_stats:
        world.stats.setdefault(task_id, None)


async def _fetch_events(world: World, deps: Deps) -> None:
    for asked in world.wanted_events:
        try:
            world.events[asked] = await remembered(
                deps.replica,
                Filter.of(world.identity.reach(SEE_EVENTS), asked.types, asked.resources),
                since=asked.since,
                limit=asked.limit,
            )
        except InvalidRequest as error:
            world.events[asked] = error
