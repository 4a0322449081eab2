"""When to look whether running replicas should be elsewhere: after news, but not more often than it is worth.

Bookkeeping only, for one term.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import section_of
from consensus.state import State
from hivemind.orchestrator.rebalancing import MOVE_TIMEOUT_S, under_way

LOOK_S = 1.0
"""The least time between two looks. A move takes about as long."""


class EvennessWatch:
    """`wall_s` is Unix time, by which nodes became ready and moves began; `now_s` is the loop's."""

    def __init__(self) -> None:
        self._touched: set[str] = set()
        self._looked_at: frozenset[str] = frozenset()
        self._basis: tuple[object, ...] = (None, None, None)
        self._moves: object = None
        self._next_look_s = 0.0
        self._looked_wall_s = 0.0
        self._settles: tuple[object, object, list[float]] = (None, None, [])

    def touched(self, apps: Iterable[str]) -> None:
        """Something of these apps was written."""
        self._touched.update(apps)

    def look(self, state: State, now_s: float, wall_s: float) -> frozenset[str] | None:
        """The apps to look at, or None where a look is not due."""
        if under_way(state):
            return frozenset()
        if now_s < self._next_look_s or not self._has_news(state, wall_s):
            return None
        if self._changed(state) or self._settled(state, wall_s):
            self._touched.update(state.apps)
        if state.moves is not self._moves:
            # The last look ended with the first move that it found.
            self._touched |= self._looked_at
        self._looked_at = frozenset(self._touched)
        self._touched.clear()
        self._basis, self._moves = _basis(state), state.moves
        self._next_look_s, self._looked_wall_s = now_s + LOOK_S, wall_s
        return self._looked_at

    def deadlines_s(self, state: State, now_s: float, wall_s: float) -> list[float]:
        """When a look is due though nothing is written, on the loop's clock."""
        if moves := under_way(state):
            return [now_s + max(LOOK_S, move.began_at_s + MOVE_TIMEOUT_S - wall_s) for move in moves]
        found_s = [now_s + at_s - wall_s + 0.01 for at_s in self._settle_times_s(state) if at_s > wall_s]
        return [*found_s, self._next_look_s] if self._has_news(state, wall_s) else found_s

    def _has_news(self, state: State, wall_s: float) -> bool:
        moved = state.moves is not self._moves
        return bool(self._touched) or moved or self._changed(state) or self._settled(state, wall_s)

    def _changed(self, state: State) -> bool:
        """Whether something is another that concerns all apps."""
        return any(a is not b for a, b in zip(_basis(state), self._basis, strict=True))

    def _settled(self, state: State, wall_s: float) -> bool:
        """Whether since the last look a node has come to be ready for long enough."""
        return any(self._looked_wall_s < at_s <= wall_s for at_s in self._settle_times_s(state))

    def _settle_times_s(self, state: State) -> list[float]:
        nodes, settings, times_s = self._settles
        if nodes is not state.nodes or settings is not state.settings:
            settle_s = section_of(state.settings, SchedulerSettings).rebalance_settle_s
            times_s = [node.status_since_s + settle_s for node in state.nodes.values() if node.schedulable]
            self._settles = state.nodes, state.settings, times_s
        return times_s


def _basis(state: State) -> tuple[object, ...]:
    return state.nodes, state.settings, state.alerts
