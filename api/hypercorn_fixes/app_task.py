"""The app's task ends when its client goes, and nobody waits for an app that takes nothing any more.

hypercorn tells the app that the client has gone and leaves the rest to it: each app needs a second task for each
request, only to hear that. And what the client sends goes into a queue that has no end when the app has ended: whoever
puts into it waits for ever. Here the task of an HTTP request is cancelled, and the queue closes with its reader.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

Send = Callable[[ASGISendEvent | None], Awaitable[None]]


class AppTasks(TaskGroup):
    """What runs for one connection."""

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Send
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Starts the app; answers what gives it the client's messages."""
        messages, taken = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)
        running = trio.CancelScope()

        async def put(message: ASGIReceiveEvent) -> None:
            if message["type"] == "http.disconnect":
                running.cancel()
                return
            try:
                messages.send_nowait(message)
            except trio.BrokenResourceError:
                return
            except trio.WouldBlock:
                await _put_when_there_is_room(message)

        async def _put_when_there_is_room(message: ASGIReceiveEvent) -> None:
            if message["type"] == "websocket.disconnect":
                running.cancel()
                return
            try:
                await messages.send(message)
            except trio.BrokenResourceError:
                return

        async def run() -> None:
            with running, taken:
                await _handle(app, config, scope, taken.receive, send, trio.to_thread.run_sync, trio.from_thread.run)

        if self._nursery is None:
            raise RuntimeError("enter the task group before starting an app in it")
        self._nursery.start_soon(run)
        return put
