"""Node vitals: figures that change all the time and may be a little stale.

They have a queue of their own, keyed by member, so that only the newest version of each is ever under way, and
packets carry them only in the room that news leave over.
"""

from __future__ import annotations

from membership.codec import encode_message
from membership.dissemination import BroadcastQueue
from membership.effects import Effect, VitalsChanged
from membership.member import MemberTable
from membership.messages import Vitals


class VitalsBoard:
    """The newest vitals of each member."""

    def __init__(self, own_name: str, table: MemberTable, queue: BroadcastQueue, effects: list[Effect]) -> None:
        self._own_name = own_name
        self._number = 0
        self._table = table
        self._queue = queue
        self._effects = effects
        self.newest: dict[str, Vitals] = {}
        self.data: dict[str, bytes] = {}

    def set_own(self, data: bytes) -> None:
        """Announce this member's vitals."""
        self._number += 1
        epoch = self._table.members[self._own_name].incarnation
        self._accept(Vitals(self._own_name, epoch, self._number, data))

    def hear(self, vitals: Vitals) -> None:
        """Take newer vitals of a known member; about oneself one needs no telling."""
        if vitals.name == self._own_name or self._table.get(vitals.name) is None:
            return
        known = self.newest.get(vitals.name)
        if known is None or vitals.version > known.version:
            self._accept(vitals)

    def forget(self, name: str) -> None:
        """Drop a member that is gone."""
        self.newest.pop(name, None)
        self.data.pop(name, None)
        self._queue.drop(name)

    def _accept(self, vitals: Vitals) -> None:
        self.newest[vitals.name] = vitals
        self.data[vitals.name] = vitals.data
        self._queue.put(vitals.name, encode_message(vitals))
        self._effects.append(VitalsChanged(vitals))
