# Made from _async by scripts/sync_client.py; change it there.
"""The lines of a streamed answer, as they come."""

from __future__ import annotations

from typing import Self

import httpx2


class SyncLines:
    """Iterate over it, and close it before the answer is left.

    httpx reads by generators within generators, and of those only the outermost can be closed. Here they are run to
    their end instead, over a closed answer.
    """

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer
        self._lines = answer.iter_lines()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return self._lines.__next__()

    def close(self) -> None:
        self._answer.close()
        try:
            for _ in self._lines:
                continue
        except (httpx2.TransportError, httpx2.StreamError):
            return
