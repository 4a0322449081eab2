"""What a node notices of its removal from the cluster: its own log says so, or every member turns it away.

The log alone is not enough: who was away, or is sent nothing more as soon as it is out, never reads that entry, and its
containers would run on beside those that took their place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from consensus.machine import Machine
from hivemind.leaving import Leaving
from hivemind.peer.reception import Reception
from hivemind.standing import Standing

TURNED_AWAY_S = 5.0
"""So long must all members agree. One that lags behind may not know yet that a node has joined again."""
_LOOK_S = 2.0


class Removal:
    """`noticed` returns once, with the words for the user."""

    def __init__(self, machine: Machine, standing: Standing, leaving: Leaving, reception: Reception) -> None:
        self._machine = machine
        self._standing = standing
        self._leaving = leaving
        self._reception = reception

    async def noticed(self) -> str:
        """Why this node is no member any more. Never while it leaves by itself."""
        reasons: list[str] = []
        async with trio.open_nursery() as nursery:
            for source in (self._by_log, self._by_members):
                nursery.start_soon(self._first, source, reasons, nursery.cancel_scope)
        return reasons[0]

    async def _first(self, source: Callable[[], Awaitable[str]], reasons: list[str], scope: trio.CancelScope) -> None:
        reasons.append(await source())
        scope.cancel()

    async def _by_log(self) -> str:
        """Only what a leader confirms counts: a log that is replayed may tell of an earlier removal."""
        await self._standing.caught_up()
        while self._leaving.under_way or (reason := self._standing.why_removed(self._standing.node_id)) is None:
            await self._machine.watch.changed(self._machine.watch.index)
        return reason

    async def _by_members(self) -> str:
        """Only while no leader is heard: the one that does not turn it away is right."""
        while True:
            await trio.sleep(_LOOK_S)
            away_s = self._reception.turned_away_for_s(trio.current_time())
            if away_s >= TURNED_AWAY_S and self._standing.leader_id is None and not self._leaving.under_way:
                return self._reception.reason
