"""Keeps a resolver on this node's bridge address, wherever that comes to be, and says which ones containers ask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

import structlog
import trio

from runtime.network.dns.server import Resolver
from runtime.network.overlay.plan import OverlayPlan, gateway

log = structlog.get_logger()

_RETRY_S = 5.0


class Place(Protocol):
    """Where the resolver shall be; `runtime.network.overlay.driver.Overlay` is the real one."""

    @property
    def plan(self) -> OverlayPlan | None: ...

    async def reported(self) -> None:
        """Returns when `plan` may have changed."""
        ...


class NameService:
    """`problem`: why there is no resolver here now; None while there is one, or none is due."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._serving = ""
        self.problem: str | None = None

    def resolvers(self, plan: OverlayPlan) -> tuple[str, ...]:
        """What a new container asks: this node, and the node after it while this daemon restarts."""
        own = [plan.gateway] if self._serving == plan.gateway else []
        behind = [peer for peer in plan.peers if peer.subnet > plan.subnet] or list(plan.peers)
        return (*own, *(gateway(peer.subnet) for peer in behind[:1]))

    def problems(self) -> Sequence[str]:
        return () if self.problem is None else (self.problem,)

    async def run(self, place: Place) -> None:
        """Until cancelled."""
        while True:
            plan = place.plan
            if plan is None:
                await place.reported()
                continue
            address = plan.gateway
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(self._resolver.run, address)
                except OSError as error:
                    self._fails(address, error)
                    await trio.sleep(_RETRY_S)
                else:
                    self._serves(address)
                    while place.plan is not None and place.plan.gateway == address:
                        await place.reported()
                    self._serving = ""
                nursery.cancel_scope.cancel()

    def _serves(self, address: str) -> None:
        self._serving, self.problem = address, None
        log.info("dns_serving", address=address)

    def _fails(self, address: str, error: OSError) -> None:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        problem = f"no DNS resolver at {address}:53: {reason}"
        if problem != self.problem:
            log.warning("dns_not_serving", address=address, reason=reason)
        self.problem = problem
