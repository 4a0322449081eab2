"""Logs that are followed: lines from any node, sent as they come."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import Struct

from api.answer import encode
from api.byte_body import ByteBody
from api.deps import LogLine
from api.events.closing import Closing
from consensus.timestamp import iso_utc


class _LogEvent(Struct, frozen=True, omit_defaults=True):
    stream: str
    timestamp: str
    message: str
    container: str = ""


def as_text(line: LogLine) -> bytes:
    return prefixed(line).encode(errors="replace") + b"\n"


def prefixed(line: LogLine) -> str:
    return f"{line.source} | {line.text}" if line.source else line.text


def as_sse(line: LogLine) -> bytes:
    return (
        b"event: log\ndata: "
        + encode(_LogEvent(line.stream, iso_utc(line.timestamp_s), line.text, line.source))
        + b"\n\n"
    )


class LogBody(ByteBody[LogLine]):
    """It ends where the node stops, and with the first line after the client's credentials ended.

    `still_allowed` is asked every `check_s`, when there is a line.
    """

    def __init__(
        self,
        lines: AbstractAsyncContextManager[AsyncIterator[LogLine]],
        render: Callable[[LogLine], bytes],
        closing: Closing,
        *,
        check_s: float,
        still_allowed: Callable[[], bool],
    ) -> None:
        super().__init__(lines, render)
        self._closing = closing
        self._check_s = check_s
        self._still_allowed = still_allowed
        self._checked_s = trio.current_time()

    async def __anext__(self) -> bytes:
        with self._closing.wait_scope(math.inf):
            line = await super().__anext__()
            if trio.current_time() - self._checked_s < self._check_s:
                return line
            self._checked_s = trio.current_time()
            if self._still_allowed():
                return line
        raise StopAsyncIteration
