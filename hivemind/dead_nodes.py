"""Which nodes gossip holds dead: known seconds before the leader has moved what ran there."""

from __future__ import annotations

import structlog

from membership import Membership, MemberState, VitalsChanged

log = structlog.get_logger()


class DeadNodes:
    """`ids` is another set only when somebody died, left or came back."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.ids: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Until cancelled."""
        async with self._membership.changes() as changes:
            self._look()
            async for change in changes:
                if not isinstance(change, VitalsChanged):
                    self._look()

    def _look(self) -> None:
        gone = (MemberState.DEAD, MemberState.LEFT)
        ids = frozenset(name for name, member in self._membership.members.items() if member.state in gone)
        if ids != self.ids:
            log.info("nodes_gone", nodes=sorted(ids))
            self.ids = ids
