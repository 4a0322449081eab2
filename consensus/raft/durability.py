"""Group commit: promises leave this node only when what they promise is on disk.

The stock library answers first and never syncs. Here a message that promises something (an acknowledged append, a
vote, a request for votes) waits in `hold` until a flush has covered it. fdatasync runs in a thread, one at a time,
and each covers everything that was queued meanwhile. The loop waits for it as long as a fast disk takes, when there
is little to write and the disk has been fast: to sleep and be woken would cost more.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any

import structlog
import trio

from .flush_thread import FlushThread
from .journal import Flush, Journal
from .metrics import Histogram

_log = structlog.get_logger()
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RETRY_WHEN_FULL_S = 1.0
_PATIENCE_S = 0.001
"""The loop waits so long for a disk of which it may expect it."""
_SLOW_FOR_S = 1.0
"""A disk that was slower than that is not waited for again so soon."""


class Durability:
    """Flushes a journal, and sends what waits for it.

    Whoever changes the journal calls `begin` afterwards, or a little later, with all that it changed at once.
    `flushed` is called in the loop after each flush, and must not raise; `full` with True when the disk is full, and
    with False when there is room again.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: list[tuple[int, Callable[[], Any]]] = []
        self.flushed: Callable[[], None] = lambda: None
        self.full: Callable[[bool], None] = lambda full: None
        self.latency = Histogram()
        self._thread: FlushThread | None = None
        self.flushing = False
        """Whether one is under way."""
        self._began_s = self._impatient_until_s = 0.0
        self._retry_soon: Callable[..., None] = lambda *arguments: None
        self._failed = trio.Event()
        self._failure: BaseException | None = None

    def hold(self, promise: Callable[[], Any]) -> None:
        """Call `promise` when all that the journal holds now is durable: at once, if it is already."""
        if self._journal.dirty:
            self._held.append((self._journal.revision, promise))
        else:
            promise()

    def begin(self) -> None:
        """Flush what is dirty, if no flush is under way: what comes meanwhile goes with the next, all together."""
        if self._thread is None or self.flushing or not self._journal.dirty:
            return
        self.flushing, self._began_s = True, time.monotonic()
        flush = self._journal.begin_flush()
        if self._began_s < self._impatient_until_s or not flush.is_small:
            self._thread.submit(flush)
        elif (ended := self._thread.run_briefly(flush, _PATIENCE_S)) is not None:
            self._ended(*ended)
        else:
            self._impatient_until_s = time.monotonic() + _SLOW_FOR_S

    async def run(self) -> None:
        """Take part until cancelled; nothing is flushed before. Raises OSError on a disk that fails."""
        async with trio.open_nursery() as nursery:
            self._retry_soon = nursery.start_soon
            self._thread = FlushThread(self._ended)
            try:
                self.begin()
                await self._failed.wait()
            finally:
                thread, self._thread = self._thread, None
                await thread.aclose()
            assert self._failure is not None
            raise self._failure

    def _ended(self, flush: Flush, error: BaseException | None) -> None:
        if error is None:
            self.latency.add(time.monotonic() - self._began_s)
            self.flushing = False
            self._journal.flushed(flush)
            self.full(False)
            self._release()
            self.flushed()
            self.begin()
        elif isinstance(error, OSError) and error.errno in _FULL:
            _log.error("raft_storage_full", error=str(error))
            self.full(True)
            if self._thread is not None:
                self._retry_soon(self._again, flush)
        else:
            self._failure = error
            self._failed.set()

    async def _again(self, flush: Flush) -> None:
        await trio.sleep(_RETRY_WHEN_FULL_S)
        if self._thread is not None:
            self._thread.submit(flush)

    def _release(self) -> None:
        revision = self._journal.durable_revision
        ready = [promise for since, promise in self._held if since <= revision]
        self._held = [held for held in self._held if held[0] > revision]
        for promise in ready:
            promise()
