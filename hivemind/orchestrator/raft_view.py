"""What the orchestrator needs of Raft at this node."""

from __future__ import annotations

from typing import Protocol


class RaftView(Protocol):
    """Errors are consensus.raft.errors.RaftError."""

    @property
    def voters(self) -> tuple[str, ...]: ...

    async def leads(self) -> int:
        """Returns the term as soon as this node leads."""
        ...

    async def deposed(self, term: int) -> None:
        """Returns as soon as this node does not lead in `term` any more."""
        ...

    async def read_barrier(self, *, timeout_s: float) -> int:
        """Once an entry of the own term is committed: the index that all of the past lies below."""
        ...

    async def wait_applied(self, index: int) -> None: ...

    def caught_up(self, node_id: str) -> bool:
        """Whether the node's log is near its end."""
        ...

    async def add_voter(self, node_id: str, *, timeout_s: float) -> None: ...

    async def remove_voter(self, node_id: str, *, timeout_s: float) -> None: ...

    async def transfer_leadership(self, heir: str, *, timeout_s: float) -> None: ...
