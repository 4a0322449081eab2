"""The one thread that waits for the disk.

Each trip of `trio.to_thread` makes a task, waits in two places and names its thread: at one write at a time that cost
as much as a fast disk. Here a trip is a queue on the way there, and on the way back either the loop itself, which has
waited for a moment, or a callback in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import trio

from .journal import Flush

Ended = tuple[Flush, BaseException | None]


class FlushThread:
    """Runs flushes one after the other; `ended(flush, error)` is called in the loop after each, and must not raise."""

    def __init__(self, ended: Callable[[Flush, BaseException | None], None]) -> None:
        self._ended = ended
        self._flushes: SimpleQueue[Flush | None] = SimpleQueue()
        self._waited_for = False
        self._results: SimpleQueue[Ended] = SimpleQueue()
        self._turn = threading.Lock()
        """Held while it is decided whether a result is waited for, or called back."""
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="raft-flush", daemon=True)
        self._thread.start()

    def submit(self, flush: Flush) -> None:
        self._flushes.put(flush)

    def run_briefly(self, flush: Flush, patience_s: float) -> Ended | None:
        """Submit, and hold the loop until it has ended, for at most `patience_s`: then None, and `ended` is called.

        A disk that takes less than the way back into a loop that sleeps is answered sooner so.
        """
        self._waited_for = True
        self._flushes.put(flush)
        with suppress(Empty):
            return self._results.get(timeout=patience_s)
        with self._turn:
            self._waited_for = False
            return None if self._results.empty() else self._results.get()

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
            self._report(flush, error)

    def _report(self, flush: Flush, error: BaseException | None) -> None:
        with self._turn:
            if self._waited_for:
                self._waited_for = False
                self._results.put((flush, error))
                return
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ended, flush, error)
