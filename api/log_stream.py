"""Logs that are followed: lines from any node, sent as they come."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from msgspec import Struct
from quart.wrappers.response import ResponseBody

from api.answer import encode
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


class LogBody(ResponseBody):
    """Entering it finds the container, so what goes wrong there can still be answered as an error."""

    def __init__(
        self,
        lines: AbstractAsyncContextManager[AsyncIterator[LogLine]],
        render: Callable[[LogLine], bytes],
        closing: Closing,
    ) -> None:
        self._lines = lines
        self._render = render
        self._closing = closing
        self._iterator: AsyncIterator[LogLine] | None = None

    async def __aenter__(self) -> LogBody:
        self._iterator = await self._lines.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lines.__aexit__(kind, error, trace)

    def __aiter__(self) -> LogBody:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            raise RuntimeError("enter the body before reading it")
        with self._closing.wait_scope(math.inf):
            return self._render(await self._iterator.__anext__())
        raise StopAsyncIteration
