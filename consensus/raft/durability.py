"""Group commit: promises leave this node only when what they promise is on disk.

The stock library answers first and never syncs. Here a message that promises something (an acknowledged append, a
vote, a request for votes) waits in `hold` until a flush has covered it. The loop never waits: fdatasync runs in
a worker thread, one at a time, and each covers everything that was queued meanwhile.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any

import structlog
import trio

from .journal import Journal
from .metrics import Histogram

_log = structlog.get_logger()
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RETRY_WHEN_FULL_S = 1.0


class Durability:
    """Flushes a journal, and sends what waits for it.

    `flushed` is called in the loop after each flush; `full` with True when the disk is full, and with False when
    there is room again.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._wake = trio.Event()
        self._held: list[tuple[int, Callable[[], Any]]] = []
        self.flushed: Callable[[], None] = lambda: None
        self.full: Callable[[bool], None] = lambda full: None
        self.latency = Histogram()
        journal.dirtied = self._dirtied

    def hold(self, promise: Callable[[], Any]) -> None:
        """Call `promise` when all that the journal holds now is durable: at once, if it is already."""
        if self._journal.dirty:
            self._held.append((self._journal.revision, promise))
        else:
            promise()

    async def run(self) -> None:
        """Flush whenever there is something to flush. Raises OSError on a disk that fails."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            flush = self._journal.begin_flush()
            began_s = time.monotonic()
            await self._write(flush.run)
            self.latency.add(time.monotonic() - began_s)
            self._journal.flushed(flush)
            self._release()
            self.flushed()
            if self._journal.dirty:
                self._wake.set()

    async def _write(self, write: Callable[[], None]) -> None:
        while True:
            try:
                await trio.to_thread.run_sync(write)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                _log.error("raft_storage_full", error=str(error))
                self.full(True)
                await trio.sleep(_RETRY_WHEN_FULL_S)
            else:
                self.full(False)
                return

    def _release(self) -> None:
        revision = self._journal.durable_revision
        ready = [promise for since, promise in self._held if since <= revision]
        self._held = [held for held in self._held if held[0] > revision]
        for promise in ready:
            promise()

    def _dirtied(self) -> None:
        self._wake.set()
