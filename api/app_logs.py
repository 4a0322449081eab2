"""The logs of all replicas of an app as one: each line with the name of the replica that wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec import Struct
from msgspec.structs import replace

from api.deps import ContainerGateway, ContainerGone, LogLine, NodeUnreachable
from consensus.machine import Machine
from consensus.model.task import Task, TaskState

QUEUED_LINES = 64
AT_ONCE = 64
"""Replicas that are read at the same time; the others follow as these end."""


class LogQuery(Struct, frozen=True, kw_only=True):
    """See `ContainerGateway.logs`. `tail` is of each replica."""

    tail: int | None
    since_s: float | None
    until_s: float | None
    follow: bool


def readable(machine: Machine, app: str) -> list[Task]:
    """The replicas that have a log: those that were started, on a node."""
    tasks = machine.state.tasks_of_app(app)
    return [task for task in tasks if task.node_id is not None and task.status.state >= TaskState.STARTING]


@asynccontextmanager
async def merged(
    machine: Machine, containers: ContainerGateway, app: str, query: LogQuery, *, now_s: float
) -> AsyncIterator[AsyncIterator[LogLine]]:
    """Lines of all replicas as they come, also of replicas that are made meanwhile, until the app is gone.

    A replica whose node does not answer is told of in a line of its own.
    """
    send, receive = trio.open_memory_channel[LogLine](QUEUED_LINES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_Reader(machine, containers, app, query, now_s).run, send)
        async with receive:
            yield receive
        nursery.cancel_scope.cancel()


class _Reader:
    def __init__(self, machine: Machine, containers: ContainerGateway, app: str, query: LogQuery, now_s: float) -> None:
        self._machine = machine
        self._containers = containers
        self._app = app
        self._query = query
        self._now_s = now_s
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    async def run(self, send: trio.MemorySendChannel[LogLine]) -> None:
        known: set[str] = set()
        async with send, trio.open_nursery() as nursery:
            while True:
                index = self._machine.watch.index
                for task in readable(self._machine, self._app):
                    if task.id not in known:
                        # What a replica wrote that was made while we follow is all news.
                        query = self._query if not known or not self._query.follow else replace(self._query, tail=None)
                        nursery.start_soon(self._read, task, query, send)
                known |= {task.id for task in readable(self._machine, self._app)}
                if not self._query.follow or self._app not in self._machine.state.apps:
                    break
                await self._machine.watch.changed(index)

    async def _read(self, task: Task, query: LogQuery, send: trio.MemorySendChannel[LogLine]) -> None:
        async with self._limiter:
            try:
                async with self._containers.logs(
                    task, tail=query.tail, since_s=query.since_s, until_s=query.until_s, follow=query.follow
                ) as lines:
                    async for line in lines:
                        await send.send(replace(line, source=task.name))
            except (NodeUnreachable, ContainerGone) as error:
                notice = LogLine("stderr", self._now_s, f"its log cannot be read: {error}", source=task.name)
                await send.send(notice)
            except trio.BrokenResourceError:
                # Who read has gone.
                return
