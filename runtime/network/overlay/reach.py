"""Whether packets pass to other nodes, told by asking a few of them for an echo through the tunnel. Pure.

Gossip and the peer channel take another way than containers' packets: a firewall that drops the tunnel's port leaves
both alone. Each node asks those that come after it in the order of their subnets, so that each is asked by as many.
Each is asked twice, by a short packet and by one as long as any may be: a path that drops long ones answers small talk.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable

from runtime.network.overlay.misses import Misses
from runtime.network.overlay.plan import TUNNEL_PORTS, OverlayPlan, Peer

NEIGHBOURS = 3
MISSES = 3
"""In a row, before a node is said to be out of reach: single packets may be lost."""


class Length(enum.Enum):
    SHORT = "short"
    FULL = "full"


Ask = tuple[str, Length]
"""Of which node, and how."""


class Reach:
    """Rounds of asking."""

    def __init__(self) -> None:
        self._misses: Misses[Ask] = Misses()

    def next_round(self, plan: OverlayPlan, judged: Callable[[str], bool]) -> list[Peer]:
        """Whom to ask now; what was asked before and not answered is missed. `judged`: of nodes that shall answer."""
        peers = neighbours(plan, judged)
        names = {peer.node_id for peer in peers}
        self._misses.end_round(lambda ask: ask[0] in names)
        self._misses.begin_round((name, length) for name in names for length in Length)
        return peers

    def answered(self, ask: Ask) -> None:
        self._misses.answered(ask)

    def begin_anew(self, node_id: str) -> None:
        """Packets to it go another way from now on: what was missed by the old one says nothing."""
        for length in Length:
            self._misses.forget((node_id, length))

    def problems(self, plan: OverlayPlan, full_bytes: int) -> tuple[str, ...]:
        """In words for the user. `full_bytes`: the length of the long packets."""
        found = []
        for peer in plan.peers:
            if self._misses.of((peer.node_id, Length.SHORT)) >= MISSES:
                found.append(_silent(plan, peer))
            elif self._misses.of((peer.node_id, Length.FULL)) >= MISSES:
                found.append(
                    f"packets of {full_bytes} bytes do not reach {peer.node_id} through the overlay:"
                    f" see to the MTU {_between(plan, peer)}"
                )
        return tuple(found)


def neighbours(plan: OverlayPlan, judged: Callable[[str], bool]) -> list[Peer]:
    """Those that this node asks."""
    own = ipaddress.IPv4Network(plan.subnet)

    def turn(peer: Peer) -> tuple[bool, ipaddress.IPv4Network]:
        subnet = ipaddress.IPv4Network(peer.subnet)
        return subnet < own, subnet

    return sorted((peer for peer in plan.peers if judged(peer.node_id)), key=turn)[:NEIGHBOURS]


def _silent(plan: OverlayPlan, peer: Peer) -> str:
    port = TUNNEL_PORTS.get(plan.tunnel or "")
    cause = f"do packets from {plan.subnet} pass" if port is None else f"is {port}/udp open"
    return f"{peer.node_id} does not answer through the overlay: {cause} {_between(plan, peer)}?"


def _between(plan: OverlayPlan, peer: Peer) -> str:
    return f"between {plan.address} and {peer.address}"
