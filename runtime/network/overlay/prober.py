"""Asks other nodes for echoes, and gives them: through the overlay, where none is a reason to be degraded; and by the
direct way, where one is leave to send containers' packets without the tunnel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog
import trio

from runtime.network.overlay.direct import Direct
from runtime.network.overlay.echo import PORT, Echoes
from runtime.network.overlay.plan import OverlayPlan, Peer
from runtime.network.overlay.reach import Ask, Length, Reach

log = structlog.get_logger()

PERIOD_S = 3.0
_RETRY_S = 5.0


class Place(Protocol):
    """What this node's part is; `runtime.network.overlay.driver.Overlay` is the real one."""

    @property
    def plan(self) -> OverlayPlan | None: ...

    @property
    def mtu(self) -> int | None:
        """Of the way to other nodes; None before it is known."""
        ...

    @property
    def near(self) -> Sequence[Peer]:
        """Nodes to whose tunnel ends a direct route leads."""
        ...

    def look_again(self) -> None:
        """`problems` or `reached` are others than before."""
        ...

    async def reported(self) -> None:
        """Returns when the others may have changed."""
        ...


class Prober:
    """
    Args:
        judged: whether a node is up, and so should answer.
    """

    def __init__(self, judged: Callable[[str], bool], *, period_s: float = PERIOD_S) -> None:
        self._judged = judged
        self._period_s = period_s
        self._reach = Reach()
        self._direct = Direct()
        self._problems: tuple[str, ...] = ()

    def problems(self) -> Sequence[str]:
        return self._problems

    def reached(self) -> frozenset[str]:
        """The ids of nodes that can be sent to without the tunnel."""
        return self._direct.reached

    def adopt(self, node_ids: Iterable[str]) -> None:
        """These are sent to without it as this daemon begins."""
        self._direct.adopt(node_ids)

    async def run(self, place: Place) -> None:
        """Until cancelled."""
        while True:
            if place.plan is None or place.mtu is None:
                await place.reported()
                continue
            gateway, end = place.plan.gateway, place.plan.tunnel_end
            try:
                through = Echoes(gateway, self._reach.answered)
                with through, Echoes(end, self._answered_directly(place)) as directly:
                    await self._run(place, through, directly, gateway)
            except OSError as error:
                self._tell(place, (f"cannot ask other nodes for an echo from {gateway}:{PORT}: {error.strerror}",))
                await trio.sleep(_RETRY_S)

    async def _run(self, place: Place, through: Echoes[Ask], directly: Echoes[str], gateway: str) -> None:
        def ranges() -> Sequence[str]:
            return () if place.plan is None else place.plan.ranges

        async with trio.open_nursery() as nursery:
            nursery.start_soon(through.run, ranges)
            nursery.start_soon(directly.run, ranges)
            nursery.start_soon(self._ask, place, through, directly)
            while place.plan is not None and place.plan.gateway == gateway:
                await place.reported()
            nursery.cancel_scope.cancel()

    async def _ask(self, place: Place, through: Echoes[Ask], directly: Echoes[str]) -> None:
        while True:
            plan, mtu = place.plan, place.mtu
            if plan is not None and mtu is not None:
                self._ask_directly(place, directly, mtu)
                through.forget()
                for peer in self._reach.next_round(plan, self._judged):
                    for length in Length:
                        through.ask(peer.gateway, (peer.node_id, length), mtu if length is Length.FULL else 0)
                self._tell(place, self._reach.problems(plan, mtu))
            await trio.sleep(self._period_s)

    def _ask_directly(self, place: Place, directly: Echoes[str], mtu: int) -> None:
        before = self._direct.reached
        directly.forget()
        for peer in self._direct.next_round(place.near, self._judged):
            directly.ask(peer.tunnel_end, peer.node_id, mtu)
        if lost := before - self._direct.reached:
            log.warning("overlay_indirect", nodes=sorted(lost))
            for node_id in lost:
                self._reach.begin_anew(node_id)
            place.look_again()

    def _answered_directly(self, place: Place) -> Callable[[str], None]:
        def answered(node_id: str) -> None:
            before = self._direct.reached
            self._direct.answered(node_id)
            if self._direct.reached != before:
                log.info("overlay_direct", node=node_id)
                place.look_again()

        return answered

    def _tell(self, place: Place, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            (log.warning if problems else log.info)("overlay_reach", problems=problems)
            self._problems = problems
            place.look_again()
