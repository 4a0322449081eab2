"""Placing a batch: for each task the node with the fewest replicas of its app, then the best score, the fewest tasks,
the first id. Nodes that prefer to be left alone come after all others, whatever their score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import isqrt

from msgspec import Struct

from consensus.commands import Placement
from consensus.model.affinity import Term, affinity_labels, parse_affinity
from consensus.model.workload import intolerable
from hivemind.orchestrator.scheduler.capacity import Reserved, Room, millis
from hivemind.orchestrator.scheduler.company import ALONE, Company
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.filters import (
    Filter,
    HasCpu,
    HasHostPorts,
    HasMemory,
    HasVolumes,
    NotInMaintenance,
    explain,
    lasting_filters,
    turned_down,
)
from hivemind.orchestrator.scheduler.queue import Changes, LoadQueue, SpreadQueue, ZonedQueue
from hivemind.orchestrator.scheduler.score import Score, Scoring
from hivemind.orchestrator.scheduler.snapshot import PendingTask, Snapshot

_SHUNNING = ("PreferNoSchedule",)


def place(snapshot: Snapshot, tasks: Sequence[PendingTask]) -> list[Placement]:
    """A decision for each of `tasks`, in their order: a node, or why there is none.

    The same for the same arguments. About nodes·(shapes + big apps) + tasks·log(nodes).
    """
    batch = _Batch(snapshot, tasks)
    return [batch.place(task) for task in tasks]


class Explained(Struct, frozen=True, kw_only=True):
    """A decision, and why it was made.

    Attributes:
        score: of the chosen node; None where none would do.
        replicas_there: replicas of the app that are there already: the fewest come first, whatever the score.
        turned_down: how many nodes each filter turned down.
    """

    placement: Placement
    score: Score | None = None
    replicas_there: int = 0
    turned_down: tuple[str, ...] = ()


def explain_all(snapshot: Snapshot, tasks: Sequence[PendingTask]) -> list[Explained]:
    """As `place`, with reasons."""
    batch = _Batch(snapshot, tasks)
    return [batch.explained(task) for task in tasks]


class _Shape:
    """What is common to the tasks of one demand."""

    def __init__(
        self, demand: Demand, rooms: Iterable[Room], company: Company, scoring: Scoring, changes: Changes
    ) -> None:
        terms: Sequence[Term] | str
        try:
            terms = parse_affinity(demand.affinity)
        except ValueError as error:
            terms = str(error)
        self.filters: list[Filter] = lasting_filters(demand, terms)
        self.room_filters: list[Filter] = [HasCpu(demand.cpu), HasMemory(demand.memory_bytes)]
        self.cpu_millis = millis(demand.cpu)
        self.memory_bytes = demand.memory_bytes
        rooms = [room for room in rooms if all(rule.check(room) for rule in self.filters)]
        # Nodes that prefer to be left alone are asked only where no other will do.
        open_ones: list[Room] = []
        shunned: list[Room] = []
        for room in rooms:
            shuns = room.node.taints and intolerable(room.node.taints, demand.tolerations, _SHUNNING)
            (shunned if shuns else open_ones).append(room)
        self.tiers = [open_ones, shunned] if shunned else [open_ones]
        self.fits = self._make_fits()
        self.company = company
        self.company_costs = scoring.company_costs(company)
        self.spread = demand.spread
        self.zones = {room.node.id: zone_of(room, demand.spread) for room in rooms} if demand.spread else {}
        self.queues = [LoadQueue(tier, self.fits, self.company_costs, changes) for tier in self.tiers]
        self.failure: str | None = None

    def _make_fits(self) -> Callable[[Room], bool]:
        cpu_millis, memory_bytes = self.cpu_millis, self.memory_bytes

        def fits(room: Room) -> bool:
            return (not cpu_millis or room.cpu_millis + cpu_millis <= room.cpu_millis_max) and (
                not memory_bytes or room.memory_bytes + memory_bytes <= room.memory_bytes_max
            )

        return fits


class _Batch:
    def __init__(self, snapshot: Snapshot, tasks: Sequence[PendingTask]) -> None:
        nothing = Reserved()
        self._scoring = Scoring(snapshot.settings, [node.id for node in snapshot.nodes])
        self._changes = Changes(kept=self._scoring.improves)
        cost = self._scoring.standing()
        self._rooms = {
            node.id: Room(
                node,
                snapshot.reserved.get(node.id, nothing),
                snapshot.settings,
                busy=snapshot.busy.get(node.id, 0.0),
                cost=cost,
            )
            for node in snapshot.nodes
        }
        self._pinned = dict(snapshot.pinned)
        self._spread = {app: dict(counts) for app, counts in snapshot.spread.items()}
        self._sizes = Counter(task.spread_key for task in tasks)
        # Passing over the nodes that an app has already costs tasks² in the shared heap; a heap of its own, nodes.
        self._own_queue_from = isqrt(2 * len(self._rooms)) + 1
        self._shapes: dict[Demand, _Shape] = {}
        self._company = snapshot.company
        self._queues: dict[tuple[str, Demand], list[SpreadQueue | ZonedQueue]] = {}
        self._in_zone: dict[str, dict[str, Counter[str]]] = {}

    def place(self, task: PendingTask) -> Placement:
        shape = self._shape(task.demand)
        placement = self._try(task, shape)
        if placement.node_id is None and task.room_on in self._rooms:
            kept = self._rooms[task.room_on]
            kept.take(shape.cpu_millis, shape.memory_bytes)
            self._changes.took(kept)
        return placement

    def _try(self, task: PendingTask, shape: _Shape) -> Placement:
        if shape.failure is not None and task.node_id is None:
            return Placement(task.task_id, None, shape.failure)
        room = self._choose(task, shape)
        if room is None and task.node_id is not None:
            why = explain(self._asked(task), self._filters(task, shape))
            return Placement(task.task_id, None, f"bound to {task.node_id}: {why}")
        if room is None:
            # Room only shrinks while a batch is placed, so what holds for this task holds for all like it.
            shape.failure = explain(list(self._rooms.values()), self._filters(task, shape))
            return Placement(task.task_id, None, shape.failure)
        self._take(task, shape, room)
        return Placement(task.task_id, room.node.id)

    def explained(self, task: PendingTask) -> Explained:
        shape = self._shape(task.demand)
        reasons = tuple(turned_down(self._asked(task), self._filters(task, shape)))
        spread = dict(self._spread.get(task.spread_key, {}))
        hopeless = shape.failure is not None and task.node_id is None
        room = None if hopeless else self._choose(task, shape)
        score = None if room is None else self._scoring.score(room, shape.company)
        there = 0 if room is None else spread.get(room.node.id, 0)
        return Explained(placement=self.place(task), score=score, replicas_there=there, turned_down=reasons)

    def _shape(self, demand: Demand) -> _Shape:
        shape = self._shapes.get(demand)
        if shape is None:
            company = self._company.get(demand.company, ALONE)
            shape = _Shape(demand, self._rooms.values(), company, self._scoring, self._changes)
            self._shapes[demand] = shape
        return shape

    def _pins(self, demand: Demand) -> dict[str, frozenset[str]]:
        return {name: self._pinned[name] for name in demand.volumes if name in self._pinned}

    def _asked(self, task: PendingTask) -> list[Room]:
        """The nodes that it could go to."""
        return [room for room in self._rooms.values() if task.node_id in (None, room.node.id)]

    def _filters(self, task: PendingTask, shape: _Shape) -> list[Filter]:
        if task.node_id is not None:
            # What is bound to a node takes the place of what was there, and its volumes are that node's own.
            filters = [rule for rule in shape.filters if not isinstance(rule, NotInMaintenance | HasHostPorts)]
            return [*filters, *shape.room_filters]
        pinned = self._pins(task.demand)
        return [*shape.filters, *([HasVolumes(pinned)] if pinned else []), *shape.room_filters]

    def _choose(self, task: PendingTask, shape: _Shape) -> Room | None:
        spread = self._spread.setdefault(task.spread_key, {})
        if task.node_id is not None:
            bound = self._rooms.get(task.node_id)
            fits = bound is not None and all(rule.check(bound) for rule in self._filters(task, shape))
            return bound if fits else None
        pinned = self._pins(task.demand) if task.demand.volumes else None
        return self._among(task, pinned, shape, spread) if pinned else self._best(task, shape, spread)

    def _take(self, task: PendingTask, shape: _Shape, room: Room) -> None:
        node_id, spread = room.node.id, self._spread[task.spread_key]
        room.take(shape.cpu_millis, shape.memory_bytes)
        self._changes.took(room)
        spread[node_id] = spread.get(node_id, 0) + 1
        for label, in_zone in self._in_zone.get(task.spread_key, {}).items():
            zones = shape.zones if label == shape.spread else None
            in_zone[zones[node_id] if zones else zone_of(room, label)] += 1
        for name in task.demand.volumes:
            self._pinned[name] = frozenset((node_id,))

    def _best(self, task: PendingTask, shape: _Shape, spread: dict[str, int]) -> Room | None:
        if self._sizes[task.spread_key] < self._own_queue_from and not shape.zones:
            for few in shape.queues:
                room = few.best(spread)
                if room is not None:
                    return room
                if few.best(()) is not None:
                    # Each of these has a replica already, and still comes before what would rather be left alone.
                    break
        key = task.spread_key, task.demand
        queues = self._queues.get(key)
        if queues is None:
            queues = self._queues[key] = [self._queue(task, shape, tier, spread) for tier in shape.tiers]
        return next((room for queue in queues if (room := queue.best()) is not None), None)

    def _queue(
        self, task: PendingTask, shape: _Shape, rooms: Sequence[Room], spread: dict[str, int]
    ) -> SpreadQueue | ZonedQueue:
        if not shape.zones:
            return SpreadQueue(rooms, shape.fits, shape.company_costs, spread, self._changes)
        by_zone: dict[str, list[Room]] = {}
        for room in rooms:
            by_zone.setdefault(shape.zones[room.node.id], []).append(room)
        queues = {
            zone: SpreadQueue(some, shape.fits, shape.company_costs, spread, self._changes)
            for zone, some in by_zone.items()
        }
        return ZonedQueue(queues, self._zone_counts(task, shape.spread))

    def _zone_counts(self, task: PendingTask, label: str) -> Counter[str]:
        """How many replicas of the task's app are in each zone; nodes without the label are one zone."""
        of_app = self._in_zone.setdefault(task.spread_key, {})
        counts = of_app.get(label)
        if counts is None:
            counts = of_app[label] = Counter()
            for node_id, count in self._spread.get(task.spread_key, {}).items():
                if node_id in self._rooms:
                    counts[zone_of(self._rooms[node_id], label)] += count
        return counts

    def _among(
        self, task: PendingTask, pinned: dict[str, frozenset[str]], shape: _Shape, spread: dict[str, int]
    ) -> Room | None:
        node_ids = frozenset.intersection(*pinned.values())
        for tier in shape.tiers:
            rooms = [room for room in tier if room.node.id in node_ids and shape.fits(room)]
            if rooms:
                return self._queue(task, shape, rooms, spread).best()
        return None


def zone_of(room: Room, label: str) -> str:
    return affinity_labels(room.node).get(label, "")
