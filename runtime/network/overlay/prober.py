"""Asks other nodes for an echo through the overlay, and gives it; what gets none is a reason to be degraded.

A packet is a kind, a token and, where it asks for it, padding. Answers are short: no echo is
louder than its call.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog
import trio

from consensus.model.network import in_ranges
from runtime.network.overlay.plan import OverlayPlan
from runtime.network.overlay.reach import Ask, Length, Reach

log = structlog.get_logger()

PORT = 51843
PERIOD_S = 3.0
_RETRY_S = 5.0
_ASK, _ANSWER = b"hm?", b"hm!"
_TOKEN_BYTES = 8
_HEADERS_BYTES = 28
"""IP (20) and UDP (8)."""
_IP_FREEBIND, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 15, 10, 2
_DATAGRAM_BYTES = 65536


class Place(Protocol):
    """What this node's part is; `runtime.network.overlay.driver.Overlay` is the real one."""

    @property
    def plan(self) -> OverlayPlan | None: ...

    @property
    def mtu(self) -> int | None:
        """Of the way to other nodes; None before it is known."""
        ...

    def look_again(self) -> None:
        """`problems` are others than before."""
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
        self._asked: dict[bytes, Ask] = {}
        self._problems: tuple[str, ...] = ()

    def problems(self) -> Sequence[str]:
        return self._problems

    async def run(self, place: Place) -> None:
        """Until cancelled."""
        while True:
            if place.plan is None or place.mtu is None:
                await place.reported()
                continue
            address = place.plan.gateway
            try:
                bound = _bound(address)
            except OSError as error:
                self._tell(place, (f"cannot ask other nodes for an echo from {address}:{PORT}: {error.strerror}",))
                await trio.sleep(_RETRY_S)
                continue
            with bound:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._answer, bound, place)
                    nursery.start_soon(self._ask, bound, place)
                    while place.plan is not None and place.plan.gateway == address:
                        await place.reported()
                    nursery.cancel_scope.cancel()

    async def _ask(self, bound: socket.socket, place: Place) -> None:
        while True:
            plan, mtu = place.plan, place.mtu
            if plan is not None and mtu is not None:
                self._asked.clear()
                for peer in self._reach.next_round(plan, self._judged):
                    for length in Length:
                        token = secrets.token_bytes(_TOKEN_BYTES)
                        self._asked[token] = (peer.node_id, length)
                        packet = _ASK + token
                        if length is Length.FULL:
                            packet = packet.ljust(mtu - _HEADERS_BYTES, b"\0")
                        # What cannot be sent gets no answer.
                        with suppress(OSError):
                            bound.sendto(packet, (peer.gateway, PORT))
                self._tell(place, self._reach.problems(plan, mtu))
            await trio.sleep(self._period_s)

    async def _answer(self, bound: socket.socket, place: Place) -> None:
        while True:
            await trio.lowlevel.wait_readable(bound)
            with suppress(OSError):
                packet, sender = bound.recvfrom(_DATAGRAM_BYTES)
                kind, token = packet[: len(_ASK)], packet[len(_ASK) : len(_ASK) + _TOKEN_BYTES]
                plan = place.plan
                if kind == _ANSWER:
                    ask = self._asked.pop(token, None)
                    if ask is not None:
                        self._reach.answered(ask)
                elif kind == _ASK and plan is not None and in_ranges(plan.ranges, sender[0]):
                    bound.sendto(_ANSWER + token, sender)

    def _tell(self, place: Place, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            (log.warning if problems else log.info)("overlay_reach", problems=problems)
            self._problems = problems
            place.look_again()


def _bound(address: str) -> socket.socket:
    """Also where no link has the address yet. What is too long for the way is not cut into pieces."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        bound.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        bound.bind((address, PORT))
    except BaseException:
        bound.close()
        raise
    return bound
