"""The two clients: the same methods, awaited or not."""

from __future__ import annotations

from hivemind.client._async.methods import AsyncMethods
from hivemind.client._sync.methods import SyncMethods


class Client(AsyncMethods):
    """For async programs, under trio or asyncio. Use it with ``async with``."""


class SyncClient(SyncMethods):
    """For programs that wait. Use it with ``with``, in one thread at a time."""
