"""Which nodes can be sent to without the tunnel, told by asking them for an echo by the direct way. Pure.

Nodes on one network need no tunnel: a route by the other's own address is a third faster. But that they share one does
not say that it carries containers' addresses (clouds drop what is not a machine's own), so each has to answer before it
is sent to directly, and goes on being asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from runtime.network.overlay.misses import Misses
from runtime.network.overlay.plan import Peer

AT_ONCE = 32
"""How many are asked in a round, in turn."""
MISSES = 2
"""In a row, before the tunnel is taken again: sooner than a node is said to be out of reach, and in vain it harms
nobody."""


class Direct:
    """Rounds of asking.

    Attributes:
        reached: the ids of the nodes that have answered lately.
    """

    def __init__(self) -> None:
        self.reached: frozenset[str] = frozenset()
        self._misses: Misses[str] = Misses()
        self._asked_in: dict[str, int] = {}
        self._round = 0

    def adopt(self, node_ids: Iterable[str]) -> None:
        """These were sent to directly before this daemon began; they are asked like all others."""
        self.reached |= frozenset(node_ids)

    def next_round(self, near: Sequence[Peer], judged: Callable[[str], bool]) -> list[Peer]:
        """Whom to ask now: who did not answer the last time, then who was not asked for the longest time.

        `near`: who may be asked. `judged`: of nodes that shall answer; of others nothing new is known.
        """
        self._round += 1
        names = {peer.node_id for peer in near}
        self._misses.end_round(names.__contains__)
        self._asked_in = {name: number for name, number in self._asked_in.items() if name in names}
        self.reached = frozenset(name for name in self.reached & names if self._misses.of(name) < MISSES)
        peers = sorted((peer for peer in near if judged(peer.node_id)), key=self._turn)[:AT_ONCE]
        asked = [peer.node_id for peer in peers]
        self._misses.begin_round(asked)
        self._asked_in |= dict.fromkeys(asked, self._round)
        return peers

    def answered(self, node_id: str) -> None:
        if self._misses.answered(node_id):
            self.reached |= {node_id}

    def _turn(self, peer: Peer) -> tuple[bool, int, str]:
        doubtful = peer.node_id in self.reached and self._misses.of(peer.node_id) > 0
        return not doubtful, self._asked_in.get(peer.node_id, 0), peer.node_id
