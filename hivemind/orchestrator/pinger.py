"""Asking doubted nodes over the peer channel. Nodes that nobody doubts are not asked: 300 of them cost nothing."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Ping
from hivemind.orchestrator.observer import Observer
from hivemind.peer.errors import PeerError


class Pinger:
    """Asks each doubted node at once, and again and again until it is doubted no more.

    Args:
        on_news: called when an answer comes after silence; that may change a verdict.
    """

    def __init__(self, ping: Ping, observer: Observer, config: OrchestratorConfig, on_news: Callable[[], None]) -> None:
        self._ping = ping
        self._observer = observer
        self._config = config
        self._on_news = on_news
        self._scopes: dict[str, trio.CancelScope] = {}

    def ask(self, node_ids: frozenset[str], nursery: trio.Nursery) -> None:
        """Asks exactly these from now on."""
        for node_id in self._scopes.keys() - node_ids:
            self._scopes.pop(node_id).cancel()
        for node_id in sorted(node_ids - self._scopes.keys()):
            scope = self._scopes[node_id] = trio.CancelScope()
            nursery.start_soon(self._ask, node_id, scope)

    async def _ask(self, node_id: str, scope: trio.CancelScope) -> None:
        answered_before = False
        with scope:
            while True:
                answered = await self._answers(node_id)
                if answered:
                    self._observer.answered(node_id, trio.current_time())
                else:
                    self._observer.unanswered(node_id)
                if answered and not answered_before:
                    self._on_news()
                answered_before = answered
                await trio.sleep(self._config.ping_interval_s)

    async def _answers(self, node_id: str) -> bool:
        with trio.move_on_after(self._config.ping_timeout_s):
            try:
                await self._ping(node_id)
            except PeerError:
                return False
            return True
        return False
