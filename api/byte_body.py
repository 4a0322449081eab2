"""Bodies of any length, sent as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class ByteBody(Generic[T]):
    """Entering it finds, or makes, what is sent: what goes wrong there can still be answered as an error."""

    def __init__(self, pieces: AbstractAsyncContextManager[AsyncIterator[T]], render: Callable[[T], bytes]) -> None:
        self._pieces = pieces
        self._render = render
        self._iterator: AsyncIterator[T] | None = None

    async def __aenter__(self) -> ByteBody[T]:
        self._iterator = await self._pieces.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pieces.__aexit__(kind, error, trace)

    def __aiter__(self) -> ByteBody[T]:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            raise RuntimeError("enter the body before reading it")
        return self._render(await self._iterator.__anext__())
