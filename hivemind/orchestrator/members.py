"""What the orchestrator needs of membership: who is alive, as gossip has it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from hivemind.orchestrator.scheduler.surroundings import Surroundings


class MemberState(enum.Enum):
    """SWIM's verdict."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


class MemberView(Struct, frozen=True):
    """One member as this node's gossip has it.

    `boot_id` is of the daemon's run that announced it, `restarting` what that run announced when it was told to stop.
    """

    node_id: str
    state: MemberState
    boot_id: str = ""
    restarting: bool = False


class MemberSource(Protocol):
    """Membership, seen from here."""

    def views(self) -> Mapping[str, MemberView]:
        """All members that gossip knows, also this node itself, by node id."""
        ...

    def surroundings(self) -> Surroundings:
        """How busy the nodes are and how far from each other, as a value that stays as it is."""
        ...

    async def changed(self) -> None:
        """Returns when a view has changed since this was called."""
        ...
