"""Events of tasks: what the engine did, and ends as the kernel tells of them."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

import anyio

from runtime.engine.base import ContainerState, EngineEvent
from runtime.engine.errors import EngineUnavailable
from runtime.engine.process.identity import ProcessIdentity

_MAX_WAITING = 10_000


class EventSubscription(AsyncIterator[EngineEvent]):
    """One subscriber's events. It needs no task of its own: an epoll set holds all that it waits for.

    In the set are a pidfd for each running task's shim, readable at its end, and an eventfd for what the engine
    publishes. `ended(engine_id)` is asked for the state of a task that ended.
    """

    def __init__(self, labels: Mapping[str, str], ended: Callable[[str], ContainerState | None]) -> None:
        self._labels = labels
        self._ended = ended
        self._waiting: deque[EngineEvent] = deque()
        self._tasks: dict[int, str] = {}
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._behind = False

    def publish(self, event: EngineEvent) -> None:
        """Queue it, where it carries the labels."""
        if not self._labels.items() <= event.labels.items():
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._behind = True
        else:
            self._waiting.append(event)
        os.eventfd_write(self._wake_fd, 1)

    def watch(self, engine_id: str, shim: ProcessIdentity) -> None:
        """Tell of this task's end, also where it has ended already."""
        fd = shim.open()
        if fd is None:
            self._publish_end(engine_id)
        else:
            self._tasks[fd] = engine_id
            self._epoll.register(fd, select.EPOLLIN)

    async def __anext__(self) -> EngineEvent:
        while not self._waiting:
            if self._behind:
                raise EngineUnavailable("the subscriber fell behind; list again, then subscribe anew")
            await anyio.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0):
                if fd == self._wake_fd:
                    os.eventfd_read(fd)
                else:
                    engine_id = self._tasks.pop(fd)
                    self._epoll.unregister(fd)
                    os.close(fd)
                    self._publish_end(engine_id)
        return self._waiting.popleft()

    def close(self) -> None:
        """Give all descriptors back."""
        self._epoll.close()
        for fd in (self._wake_fd, *self._tasks):
            os.close(fd)
        self._tasks.clear()

    def _publish_end(self, engine_id: str) -> None:
        state = self._ended(engine_id)
        if state is None or state.status == "running":
            return
        event = EngineEvent(
            engine_id=engine_id,
            action="die",
            labels=state.labels,
            timestamp_s=state.finished_at_s or state.started_at_s or state.created_at_s,
            exit_code=state.exit_code,
        )
        if state.oom_killed:
            self.publish(
                EngineEvent(engine_id=engine_id, action="oom", labels=event.labels, timestamp_s=event.timestamp_s)
            )
        self.publish(event)
