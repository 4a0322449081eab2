"""Reads what the shim wrote: numbered files of `<unix seconds> <o|e> <text>` records."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from runtime.engine.base import LogLine

_BATCH_BYTES = 256 * 1024
_FOLLOW_INTERVAL_S = 0.1
"""A follower looks this often for new output; a person does not notice it, and idle it costs next to nothing."""


def parse_record(record: bytes) -> LogLine | None:
    """A line, or None where a crash or a full disk left half a record."""
    timestamp, _, rest = record.partition(b" ")
    tag, _, text = rest.partition(b" ")
    try:
        timestamp_s = float(timestamp)
    except ValueError:
        return None
    if tag not in (b"o", b"e"):
        return None
    return LogLine("stdout" if tag == b"o" else "stderr", timestamp_s, text)


class LogReader:
    """A position in a task's output, from the oldest record kept. Blocking; for a worker thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._offset = 0
        self._rest = b""

    def read(self) -> list[LogLine]:
        """The next records, at most about 256 KiB of them; empty at the end of what is there so far."""
        while True:
            if not (numbers := self._numbers()):
                return []
            if self._number not in numbers:
                self._move(next((number for number in numbers if number > self._number), numbers[-1]))
            try:
                with (self._folder / f"{self._number:08}.log").open("rb") as file:
                    file.seek(self._offset)
                    data = file.read(_BATCH_BYTES)
            except FileNotFoundError:
                continue  # rotated away just now
            if data:
                return self._records(data)
            # The next file is begun only when this one is finished: what was listed before reading decides.
            if self._number == numbers[-1]:
                return []
            self._move(min(number for number in numbers if number > self._number))

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.log"))

    def _move(self, number: int) -> None:
        self._number, self._offset, self._rest = number, 0, b""

    def _records(self, data: bytes) -> list[LogLine]:
        self._offset += len(data)
        *records, self._rest = (self._rest + data).split(b"\n")
        lines = (parse_record(record) for record in records)
        return [line for line in lines if line is not None]


class LogIterator(AsyncIterator[LogLine]):
    """The lines that were asked for; ends at `until_s`, or where nothing more is there or (following) comes."""

    def __init__(
        self,
        folder: Path,
        running: Callable[[], bool],
        *,
        tail: int | None,
        since_s: float | None,
        until_s: float | None,
        follow: bool,
    ) -> None:
        self._reader = LogReader(folder)
        self._running = running
        self._tail = tail
        self._since_s = float("-inf") if since_s is None else since_s
        self._until_s = float("inf") if until_s is None else until_s
        self._follow = follow
        self._ready: deque[LogLine] = deque()
        self._past_until = False

    async def __anext__(self) -> LogLine:
        while not self._ready:
            if self._past_until:
                raise StopAsyncIteration
            # Asked before reading: what it wrote before its end is then surely in what is read.
            more_may_come = self._follow and self._running()
            if await anyio.to_thread.run_sync(self._fill):
                continue
            if not more_may_come:
                raise StopAsyncIteration
            await anyio.sleep(_FOLLOW_INTERVAL_S)
        return self._ready.popleft()

    def _fill(self) -> bool:
        """Read on; False where nothing new was there."""
        if self._tail is None:
            lines = self._reader.read()
            self._ready.extend(self._wanted(lines))
            return bool(lines)
        last: deque[LogLine] = deque(maxlen=self._tail)
        while lines := self._reader.read():
            last.extend(self._wanted(lines))
        self._tail = None
        self._ready = deque(last)
        return bool(last)

    def _wanted(self, lines: list[LogLine]) -> list[LogLine]:
        if any(line.timestamp_s > self._until_s for line in lines):
            self._past_until = True
        return [line for line in lines if self._since_s <= line.timestamp_s <= self._until_s]
