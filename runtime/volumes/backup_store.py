"""Where scheduled backups are kept, whatever it is. A name is there only when all of its bytes are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct


class StoreError(Exception):
    """The text is for the user: what was asked of which store, and what it answered."""


class Stored(Struct, frozen=True):
    name: str
    size_bytes: int


class BackupStore(Protocol):
    """The backups of one schedule. Everything here raises StoreErrors and nothing else on purpose."""

    async def stored(self) -> list[Stored]:
        """In no particular order."""
        ...

    async def clear(self) -> None:
        """Removes what earlier writes left that were broken off."""
        ...

    async def write(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        """The size in bytes, once all of it is safe. Where it, or `pieces`, raises, there is nothing of that name."""
        ...

    async def remove(self, name: str) -> None: ...

    def read(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What was written. Entering it finds it."""
        ...
