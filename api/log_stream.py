"""Logs that are followed: lines from any node, sent as they come."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

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
    """It ends where the node stops."""

    def __init__(
        self,
        lines: AbstractAsyncContextManager[AsyncIterator[LogLine]],
        render: Callable[[LogLine], bytes],
        closing: Closing,
    ) -> None:
        super().__init__(lines, render)
        self._closing = closing

    async def __anext__(self) -> bytes:
        with self._closing.wait_scope(math.inf):
            return await super().__anext__()
        raise StopAsyncIteration
