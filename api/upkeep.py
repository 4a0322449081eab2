"""What the API needs for the cluster's upkeep; `hivemind/upkeep.py` does it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class LeadershipKept(Exception):
    """The leadership cannot go where it was sent; the text says why."""


class ClusterUpkeep(Protocol):
    """What is done to the cluster as a whole, by the leader or by this node."""

    async def transfer_leadership(self, to: str | None) -> str:
        """Hands the leadership to the node `to`, or to the voter that is ahead. Returns the new leader's id.

        Raises:
            LeadershipKept: it cannot lead, or does already.
            consensus.errors.Unavailable: there is no leader, or nobody took over in time.
        """
        ...

    def backup(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The replicated state as of one index, as a file that `hivemind admin restore` takes.

        Raises:
            consensus.errors.Unavailable: when it is entered: it cannot be made now.
        """
        ...
