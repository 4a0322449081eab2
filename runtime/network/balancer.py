"""Which replica gets the next connection: round robin past those that failed a moment ago. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.network.routes import Backend

AVOID_S = 5.0
"""How long a replica is passed over after a failed dial; about what a node needs to be found lost."""


class Balancer:
    """For one published port. `first`: where the round begins; another one at each node spreads single requests."""

    def __init__(self, *, first: int = 0) -> None:
        self.backends: tuple[Backend, ...] = ()
        self._next = first
        self._failed_at_s: dict[str, float] = {}

    def set_backends(self, backends: Sequence[Backend]) -> None:
        self.backends = tuple(backends)
        here = {backend.task_id for backend in backends}
        self._failed_at_s = {task_id: at_s for task_id, at_s in self._failed_at_s.items() if task_id in here}

    def order(self, now_s: float) -> list[Backend]:
        """The replicas to try for one connection: each once, those that failed lately last."""
        if not self.backends:
            return []
        start = self._next % len(self.backends)
        self._next = start + 1
        turn = [*self.backends[start:], *self.backends[:start]]
        return sorted(turn, key=lambda backend: self._avoided(backend, now_s))

    def failed(self, backend: Backend, now_s: float) -> None:
        self._failed_at_s[backend.task_id] = now_s

    def worked(self, backend: Backend) -> None:
        self._failed_at_s.pop(backend.task_id, None)

    def _avoided(self, backend: Backend, now_s: float) -> bool:
        failed_at_s = self._failed_at_s.get(backend.task_id)
        return failed_at_s is not None and now_s - failed_at_s < AVOID_S
