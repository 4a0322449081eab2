"""Which endpoint gets the next connection: the strategies, with affinity, locality and circuit breaking. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from consensus.model.service import Strategy
from runtime.network.circuit import Circuit
from runtime.network.routes import Backend, Policy, Route

if TYPE_CHECKING:
    from random import Random

REMEMBERED_CLIENTS = 65_536
"""Clients with session affinity for each front; the one that was silent longest is forgotten first."""


class SmoothTurns:
    """Weighted round robin that spreads each one's turns evenly (nginx, "smooth weighted round-robin").

    With equal weights it is the plain round. `skip`: how many turns are over already.
    """

    def __init__(self, *, skip: int = 0) -> None:
        self._credit: dict[str, int] = {}
        self._skip = skip

    def keep(self, keys: set[str]) -> None:
        self._credit = {key: credit for key, credit in self._credit.items() if key in keys}

    def next(self, keys: Sequence[str], weights: Sequence[int]) -> int:
        """The index of whose turn it is."""
        for _ in range(self._skip % max(1, sum(weights))):
            self._turn(keys, weights)
        self._skip = 0
        return self._turn(keys, weights)

    def _turn(self, keys: Sequence[str], weights: Sequence[int]) -> int:
        best = 0
        for i, (key, weight) in enumerate(zip(keys, weights, strict=True)):
            self._credit[key] = self._credit.get(key, 0) + weight
            if self._credit[key] > self._credit[keys[best]]:
                best = i
        self._credit[keys[best]] -= sum(weights)
        return best


class Balancer:
    """For one front. `first`: where the round begins; another one at each node spreads single requests."""

    def __init__(self, rng: Random, *, first: int = 0) -> None:
        self._rng = rng
        self._turns = SmoothTurns(skip=first % 997)
        self._policy = Policy()
        self._backends: dict[str, Backend] = {}
        self._weights: dict[str, int] = {}
        self._connections: dict[str, int] = {}
        self._clients: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.circuit = Circuit(self._policy.unhealthy_threshold)

    @property
    def policy(self) -> Policy:
        return self._policy

    def set_route(self, route: Route) -> None:
        self._policy = route.policy
        self._backends = {backend.task_id: backend for backend in route.backends}
        self._weights = {b.task_id: weight for b, weight in zip(route.backends, route.weights, strict=True)}
        here = set(self._backends)
        self.circuit.threshold = route.policy.unhealthy_threshold
        self.circuit.keep(here)
        self._turns.keep(here)

    def order(self, client: str, now_s: float, *, local: str = "") -> list[Backend]:
        """The endpoints to try for one connection of `client`, each once: whose turn it is, then the rest.

        Those that failed lately come last. `local`: the node to prefer where the policy says so.
        """
        usable = [key for key, weight in self._weights.items() if weight > 0]
        closed = [key for key in usable if not self.circuit.is_open(key, now_s)]
        groups = [closed, [key for key in usable if key not in set(closed)]]
        if self._policy.prefer_local:
            groups = [part for group in groups for part in self._by_nearness(group, local)]
        keys = [key for group in groups if group for key in self._turn(group, client)]
        sticky = self._remembered(client, now_s)
        if sticky in closed:
            keys.remove(sticky)
            keys.insert(0, sticky)
        return [self._backends[key] for key in keys]

    def worked(self, backend: Backend, client: str, now_s: float) -> None:
        self.circuit.worked(backend.task_id)
        if self._policy.sticky_s:
            self._clients[client] = (backend.task_id, now_s + self._policy.sticky_s)
            self._clients.move_to_end(client)
            if len(self._clients) > REMEMBERED_CLIENTS:
                self._clients.popitem(last=False)

    def failed(self, backend: Backend, now_s: float) -> None:
        self.circuit.failed(backend.task_id, now_s)

    @contextmanager
    def connected(self, backend: Backend) -> Iterator[None]:
        """Counts a connection for as long as it lasts."""
        key = backend.task_id
        self._connections[key] = self._connections.get(key, 0) + 1
        try:
            yield
        finally:
            self._connections[key] -= 1
            if not self._connections[key]:
                del self._connections[key]

    def _by_nearness(self, keys: list[str], local: str) -> tuple[list[str], list[str]]:
        near = [key for key in keys if self._backends[key].node_id == local]
        return near, [key for key in keys if self._backends[key].node_id != local]

    def _remembered(self, client: str, now_s: float) -> str:
        key, until_s = self._clients.get(client, ("", 0.0))
        return key if self._policy.sticky_s and now_s < until_s else ""

    def _turn(self, keys: list[str], client: str) -> list[str]:
        """All of `keys`, beginning with the one that the strategy picks."""
        match self._policy.strategy:
            case Strategy.RANDOM:
                return sorted(keys, key=lambda key: -self._lot(key, self._rng.random()))
            case Strategy.IP_HASH:
                return sorted(keys, key=lambda key: -self._lot(key, _uniform(client, key)))
            case Strategy.LEAST_CONNECTIONS:
                busy = [self._connections.get(key, 0) / self._weights[key] for key in keys]
                least = [key for key, load in zip(keys, busy, strict=True) if load == min(busy)]
                pick = self._round(least)
                rest = sorted(zip(busy, keys, strict=True))
                return [pick, *(key for _, key in rest if key != pick)]
            case _:
                pick = self._round(keys)
                at = keys.index(pick)
                return [*keys[at:], *keys[:at]]

    def _round(self, keys: list[str]) -> str:
        return keys[self._turns.next(keys, [self._weights[key] for key in keys])]

    def _lot(self, key: str, uniform: float) -> float:
        """Weighted rendezvous: whoever draws the greatest; each wins by its weight, and keeps its clients when
        another one comes or goes (Efraimidis and Spirakis 2006)."""
        return math.log(max(uniform, 1e-300)) / self._weights[key]


def _uniform(client: str, key: str) -> float:
    digest = hashlib.blake2b(f"{client}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
