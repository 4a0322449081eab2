"""How good a node is for a task, once it will do and the app is spread: a sum of weighted parts, the more the better.

    load           weight_load · (1 − how busy the node is)
    network        weight_network · how near the services are that the task wants as company
    affinity       weight_affinity · the share of its wishes for company that are met there
    anti_affinity  −weight_anti_affinity · the share of those that it wants to be away from
    strategy       weight_strategy · what the packing strategy makes of how much is booked

Busy is what gossip measured or, if that is more, what is booked: much that was booked begins its work only later.
The strategies other than WorstFit say themselves what booked nodes are worth, so there only the measure counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from consensus.model.scheduling import SchedulerSettings
from hivemind.orchestrator.scheduler.capacity import Room
from hivemind.orchestrator.scheduler.company import Company


class Score(Struct, frozen=True, kw_only=True):
    """The weighted parts; `total` is their sum."""

    load: float
    network: float
    affinity: float
    anti_affinity: float
    strategy: float

    @property
    def total(self) -> float:
        return self.load + self.network + self.affinity + self.anti_affinity + self.strategy


class Scoring:
    """The scores of one batch.

    Attributes:
        improves: whether a node may get better by being taken, so that others' queues must hear of it.
    """

    def __init__(self, settings: SchedulerSettings, node_ids: Sequence[str]) -> None:
        self._settings = settings
        self._node_ids = node_ids
        self.improves = settings.strategy in ("BestFit", "Random")
        self._worth = self._make_strategy()

    def standing(self) -> Callable[[Room], float]:
        """The part of a node's cost (its score, negated) that follows from what is on it."""
        settings, worth = self._settings, self._worth
        load_weight, strategy_weight = settings.weight_load, settings.weight_strategy
        if settings.strategy == "WorstFit":
            best = load_weight + strategy_weight

            def by_booked(room: Room) -> float:
                booked, busy = room.booked, room.busy
                return load_weight * (busy if busy > booked else booked) + strategy_weight * booked - best

            return by_booked
        return lambda room: load_weight * (room.busy - 1) - strategy_weight * worth(room)

    def company_costs(self, company: Company) -> dict[str, float]:
        """By node id, the part of its cost that follows from who is there and near; 0 where there is no entry."""
        settings = self._settings
        costs: dict[str, float] = {}
        for weight, shares in (
            (-settings.weight_network, company.nearness),
            (-settings.weight_affinity, company.met),
            (settings.weight_anti_affinity, company.violated),
        ):
            for node_id, share in shares.items():
                costs[node_id] = costs.get(node_id, 0.0) + weight * share
        return costs

    def score(self, room: Room, company: Company) -> Score:
        settings, node_id = self._settings, room.node.id
        busy = max(room.busy, room.booked) if settings.strategy == "WorstFit" else room.busy
        return Score(
            load=settings.weight_load * (1 - busy),
            network=settings.weight_network * company.nearness.get(node_id, 0.0),
            affinity=settings.weight_affinity * company.met.get(node_id, 0.0),
            anti_affinity=-settings.weight_anti_affinity * company.violated.get(node_id, 0.0),
            strategy=settings.weight_strategy * self._worth(room),
        )

    def _make_strategy(self) -> Callable[[Room], float]:
        match self._settings.strategy:
            case "WorstFit":
                return lambda room: 1 - room.booked
            case "BestFit":
                return lambda room: room.booked
            case "FirstFit":
                worth = _by_name(self._node_ids)
                return lambda room: worth[room.node.id]
            case "Random":
                seed = self._settings.random_seed
                # Drawn anew with each task that a node gets, or one node would stay the luckiest of all.
                return lambda room: draw(f"{seed}/{room.node.id}/{room.tasks}")


def _by_name(node_ids: Sequence[str]) -> Mapping[str, float]:
    return {node_id: 1 - number / len(node_ids) for number, node_id in enumerate(sorted(node_ids))}


def draw(text: str) -> float:
    """From 0 to 1, and the same for the same text everywhere."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / float(1 << 48)
