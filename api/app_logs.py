"""The logs of all containers of an app, or of a run, as one: each line with the name of the container that wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import trio
from msgspec import Struct
from msgspec.structs import replace

from api.deps import ContainerGateway, ContainerGone, LogLine, NodeUnreachable
from consensus.machine import Machine
from consensus.model.run import Run
from consensus.model.task import Task, TaskState
from consensus.state import State

QUEUED_LINES = 64
AT_ONCE = 64
"""Replicas that are read at the same time; the others follow as these end."""


class LogQuery(Struct, frozen=True, kw_only=True):
    """See `ContainerGateway.logs`. `tail` is of each replica."""

    tail: int | None
    since_s: float | None
    until_s: float | None
    follow: bool


class LogSource(Struct, frozen=True):
    """Whose logs: `tasks` of a state; `over` when no more of them will be made."""

    tasks: Callable[[State], list[Task]]
    over: Callable[[State], bool]

    def readable(self, state: State) -> list[Task]:
        """Those that have a log: that were started, on a node."""
        return [
            task for task in self.tasks(state) if task.node_id is not None and task.status.state >= TaskState.STARTING
        ]


def of_app(name: str) -> LogSource:
    return LogSource(lambda state: state.tasks_of_app(name), lambda state: name not in state.apps)


def of_run(run: Run) -> LogSource:
    def over(state: State) -> bool:
        present = state.runs.get(run.id)
        return present is None or present.status.finished

    return LogSource(lambda state: state.tasks_of_run(run), over)


@asynccontextmanager
async def merged(
    machine: Machine, containers: ContainerGateway, source: LogSource, query: LogQuery, *, now_s: float
) -> AsyncIterator[AsyncIterator[LogLine]]:
    """Lines of all containers as they come, also of those that are made meanwhile, until the source is over.

    One whose node does not answer is told of in a line of its own.
    """
    send, receive = trio.open_memory_channel[LogLine](QUEUED_LINES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_Reader(machine, containers, source, query, now_s).run, send)
        async with receive:
            yield receive
        nursery.cancel_scope.cancel()


class _Reader:
    def __init__(
        self, machine: Machine, containers: ContainerGateway, source: LogSource, query: LogQuery, now_s: float
    ) -> None:
        self._machine = machine
        self._containers = containers
        self._source = source
        self._query = query
        self._now_s = now_s
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    async def run(self, send: trio.MemorySendChannel[LogLine]) -> None:
        known: set[str] = set()
        async with send, trio.open_nursery() as nursery:
            while True:
                index = self._machine.watch.index
                readable = self._source.readable(self._machine.state)
                over = self._source.over(self._machine.state)
                for task in readable:
                    if task.id not in known:
                        # What one wrote that was made while we follow is all news.
                        query = self._query if not known or not self._query.follow else replace(self._query, tail=None)
                        nursery.start_soon(self._read, task, query, send)
                known |= {task.id for task in readable}
                if not self._query.follow or over:
                    break
                await self._machine.watch.changed(index)

    async def _read(self, task: Task, query: LogQuery, send: trio.MemorySendChannel[LogLine]) -> None:
        """Followed, a log ends where its container is not started yet, or is about to be started again: it goes on."""
        async with self._limiter:
            with suppress(trio.BrokenResourceError):  # Who read has gone.
                last_s = await self._read_once(task, query, send)
                while query.follow and (task_now := await self._written_after(task)) is not None:
                    task = task_now
                    last_s = await self._read_once(task, query, send, after_s=last_s)

    async def _written_after(self, seen: Task) -> Task | None:
        """The task when its row is another than `seen`; None if nothing more of it is to come."""
        while True:
            index, state = self._machine.watch.index, self._machine.state
            task = state.tasks.get(seen.id)
            if task is None or task.status.final or self._source.over(state):
                return None
            if task is not seen:
                return task
            await self._machine.watch.changed(index)

    async def _read_once(
        self, task: Task, query: LogQuery, send: trio.MemorySendChannel[LogLine], *, after_s: float | None = None
    ) -> float | None:
        """To the end of what its container writes; answers when the last line was written, or `after_s`."""
        if after_s is not None:
            query = replace(query, tail=None, since_s=after_s)
        last_s = after_s
        try:
            async with self._containers.logs(
                task, tail=query.tail, since_s=query.since_s, until_s=query.until_s, follow=query.follow
            ) as lines:
                async for line in lines:
                    if after_s is None or line.timestamp_s > after_s:
                        last_s = line.timestamp_s
                        await send.send(replace(line, source=task.name))
        except (NodeUnreachable, ContainerGone) as error:
            notice = LogLine("stderr", self._now_s, f"its log cannot be read: {error}", source=task.name)
            await send.send(notice)
        return last_s
