"""The one thread that waits for the disk.

Each trip of `trio.to_thread` makes a task, waits in two places and names its thread: at one write at a time that cost
as much as a fast disk. Here a trip is a queue on the way there, and a callback in the loop on the way back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

import trio

from .journal import Flush


class FlushThread:
    """Runs flushes one after the other; `ended(flush, error)` is called in the loop after each, and must not raise."""

    def __init__(self, ended: Callable[[Flush, BaseException | None], None]) -> None:
        self._ended = ended
        self._flushes: SimpleQueue[Flush | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="raft-flush", daemon=True)
        self._thread.start()

    def submit(self, flush: Flush) -> None:
        self._flushes.put(flush)

    async def aclose(self) -> None:
        """Return when the flush that is under way, if any, has ended."""
        self._flushes.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        while (flush := self._flushes.get()) is not None:
            error: BaseException | None = None
            try:
                flush.run()
            except BaseException as raised:
                error = raised
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._ended, flush, error)
