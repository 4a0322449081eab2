"""Containers: look at them, their logs and what they use, on whichever node they are."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import Struct

from api.answer import Answer, Stream
from api.app_logs import LogQuery, LogSource, merged, of_app
from api.call import Call
from api.deps import ContainerGone, LogLine, NodeUnreachable
from api.errors import InvalidRequest, NotFound
from api.log_stream import LogBody, as_sse, as_text, prefixed
from api.route import Access, Kind, Listing, Parameter, Route, Subject
from api.views.container import (
    ContainerDetail,
    ContainerItem,
    container_detail,
    container_item,
    in_order,
    out_of_sight,
    revision_number,
)
from consensus.model.task import Task, TaskState
from consensus.timestamp import iso_utc

MAX_LOG_BYTES = 8 * 1024 * 1024
LAST_CHECK_WAIT_S = 1.0


class LogsAnswer(Struct, frozen=True):
    """`truncated`: there was more, older than what is here."""

    logs: str
    truncated: bool


class StatsAnswer(Struct, frozen=True, kw_only=True):
    """`cpu_usage` is percent of one core; the rest are bytes."""

    cpu_usage: float
    memory_usage: int
    memory_limit: int | None
    network_rx: int | None
    network_tx: int | None
    block_read: int | None
    block_write: int | None
    timestamp: str


def find(call: Call) -> Task:
    """The task that the path names. Raises NotFound."""
    return call.named(call.state.tasks, "container_id", "container")


def find_placed(call: Call) -> Task:
    """As `find`, on a node. Raises NotFound."""
    task = find(call)
    if task.node_id is None:
        raise NotFound(f"container {task.id!r} is not placed on a node yet: {task.placement_message or 'pending'}")
    return task


async def list_containers(call: Call) -> Answer:
    state, items = call.state, call.services.items
    tasks = call.services.order.get("tasks", state.tasks, lambda: in_order(state))

    def item(task: Task) -> ContainerItem:
        beside = (out_of_sight(state, task), revision_number(state, task))
        return items.get((task.id, *beside), task, lambda: container_item(state, task))

    return await call.listed(tasks, item)


async def get_container(call: Call) -> Answer:
    task, state = find(call), call.state
    return Answer(container_detail(state, task, last_check_s=await _last_check_s(call, task)))


async def _last_check_s(call: Call, task: Task) -> float | None:
    """None also where the node does not say in time: the rest of the answer is worth more than this field."""
    if task.node_id is None or task.status.state is not TaskState.RUNNING:
        return None
    with trio.move_on_after(LAST_CHECK_WAIT_S):
        try:
            return (await call.deps.containers.health(task)).last_check_s
        except (NodeUnreachable, ContainerGone):
            return None
    return None


def log_query(call: Call) -> LogQuery:
    """Raises InvalidRequest."""
    query = call.query
    asked = LogQuery(
        tail=query.integer("tail"),
        since_s=query.time_s("since"),
        until_s=query.time_s("until"),
        follow=query.boolean("follow"),
    )
    if asked.since_s is not None and asked.until_s is not None and asked.until_s < asked.since_s:
        raise InvalidRequest("parameter 'until': expected a time after 'since'")
    return asked


def log_stream(call: Call, lines: AbstractAsyncContextManager[AsyncIterator[LogLine]]) -> Stream:
    as_events = "text/event-stream" in call.headers.get("accept", "")
    body = LogBody(
        lines,
        as_sse if as_events else as_text,
        call.services.closing,
        check_s=call.deps.settings.heartbeat_s,
        still_allowed=call.still_allowed,
    )
    return Stream(body, f"text/{'event-stream' if as_events else 'plain'}; charset=utf-8")


async def collected(lines: AbstractAsyncContextManager[AsyncIterator[LogLine]]) -> tuple[list[LogLine], bool]:
    """The newest lines, up to `MAX_LOG_BYTES`, and whether there were more."""
    kept: deque[LogLine] = deque()
    size, truncated = 0, False
    async with lines as iterator:
        async for line in iterator:
            kept.append(line)
            size += len(line.text) + 1
            while size > MAX_LOG_BYTES:
                size -= len(kept.popleft().text) + 1
                truncated = True
    return list(kept), truncated


async def get_logs(call: Call) -> Answer | Stream:
    task, asked = find_placed(call), log_query(call)
    lines = call.deps.containers.logs(
        task, tail=asked.tail, since_s=asked.since_s, until_s=asked.until_s, follow=asked.follow
    )
    if asked.follow:
        return log_stream(call, lines)
    kept, truncated = await collected(lines)
    return Answer(LogsAnswer("".join(f"{line.text}\n" for line in kept), truncated))


async def get_app_logs(call: Call) -> Answer | Stream:
    app = call.named(call.state.apps, "app_name", "app")
    return await answer_logs(call, of_app(app.name))


async def answer_logs(call: Call, source: LogSource) -> Answer | Stream:
    """What all containers of `source` wrote, as the query asks for it. Raises InvalidRequest."""
    asked = log_query(call)
    lines = merged(call.deps.replica, call.deps.containers, source, asked, now_s=call.now_s)
    if asked.follow:
        return log_stream(call, lines)
    kept, truncated = await collected(lines)
    # Each container's lines are in order already, and stay so.
    kept.sort(key=lambda line: line.timestamp_s)
    return Answer(LogsAnswer("".join(f"{prefixed(line)}\n" for line in kept), truncated))


async def get_stats(call: Call) -> Answer:
    stats = await call.deps.containers.stats(find_placed(call))
    return Answer(
        StatsAnswer(
            cpu_usage=stats.cpu_percent,
            memory_usage=stats.memory_bytes,
            memory_limit=stats.memory_limit_bytes,
            network_rx=stats.network_rx_bytes,
            network_tx=stats.network_tx_bytes,
            block_read=stats.block_read_bytes,
            block_write=stats.block_write_bytes,
            timestamp=iso_utc(stats.timestamp_s),
        )
    )


LOG_PARAMETERS = (
    Parameter("tail", Kind.INTEGER, "number of lines to return from the end"),
    Parameter("since", Kind.TIME, "lines since this time: RFC 3339 or unix seconds"),
    Parameter("until", Kind.TIME, "lines until this time: RFC 3339 or unix seconds"),
    Parameter("follow", Kind.BOOLEAN, "stream lines as they come: text, or Server-Sent Events where accepted"),
)

_CONTAINER = Subject("tasks", "container_id")
ROUTES = (
    Route(
        method="GET",
        path="/containers",
        access=Access.VIEW,
        permission="containers:read",
        handler=list_containers,
        listing=Listing("containers", ContainerItem, {"node": "node_id", "health": "health.status"}),
        of_state=True,
    ),
    Route(
        method="GET",
        path="/containers/{container_id}",
        access=Access.VIEW,
        permission="containers:read",
        handler=get_container,
        answer=ContainerDetail,
        subject=_CONTAINER,
    ),
    Route(
        method="GET",
        path="/containers/{container_id}/logs",
        access=Access.VIEW,
        permission="logs:read",
        handler=get_logs,
        owner=_CONTAINER,
        parameters=LOG_PARAMETERS,
        answer=LogsAnswer,
        streams=("text/plain", "text/event-stream"),
    ),
    Route(
        method="GET",
        path="/apps/{app_name}/logs",
        access=Access.VIEW,
        permission="logs:read",
        handler=get_app_logs,
        owner=Subject("apps", "app_name"),
        parameters=LOG_PARAMETERS,
        answer=LogsAnswer,
        streams=("text/plain", "text/event-stream"),
    ),
    Route(
        method="GET",
        path="/containers/{container_id}/stats",
        access=Access.VIEW,
        permission="containers:read",
        handler=get_stats,
        owner=_CONTAINER,
        answer=StatsAnswer,
    ),
)
