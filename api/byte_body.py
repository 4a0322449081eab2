"""Bodies of bytes of any length, sent as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from quart.wrappers.response import ResponseBody


class ByteBody(ResponseBody):
    """Entering it finds, or makes, what is sent: what goes wrong there can still be answered as an error."""

    def __init__(self, pieces: AbstractAsyncContextManager[AsyncIterator[bytes]]) -> None:
        self._pieces = pieces
        self._iterator: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> ByteBody:
        self._iterator = await self._pieces.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pieces.__aexit__(kind, error, trace)

    def __aiter__(self) -> ByteBody:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            raise RuntimeError("enter the body before reading it")
        return await self._iterator.__anext__()
