"""The lines of a streamed answer, as they come."""

from __future__ import annotations

from typing import Self

import httpx2


class AsyncLines:
    """Iterate over it, and close it before the answer is left.

    httpx reads by generators within generators, and of those only the outermost can be closed. Here they are run to
    their end instead, over a closed answer.
    """

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer
        self._lines = answer.aiter_lines()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await self._lines.__anext__()

    async def aclose(self) -> None:
        await self._answer.aclose()
        try:
            async for _ in self._lines:
                continue
        except (httpx2.TransportError, httpx2.StreamError):
            return
