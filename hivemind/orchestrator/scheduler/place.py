"""Placing a batch: for each task the node with the fewest replicas of its app, then the least load, tasks, id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import isqrt

from consensus.commands import Placement
from hivemind.orchestrator.scheduler.affinity import Term, parse_affinity
from hivemind.orchestrator.scheduler.capacity import Reserved, Room, millis
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.filters import (
    Filter,
    HasCpu,
    HasMemory,
    HasVolumes,
    explain,
    lasting_filters,
)
from hivemind.orchestrator.scheduler.queue import LoadQueue, SpreadQueue
from hivemind.orchestrator.scheduler.snapshot import PendingTask, Snapshot


def place(snapshot: Snapshot, tasks: Sequence[PendingTask]) -> list[Placement]:
    """A decision for each of `tasks`, in their order: a node, or why there is none.

    The same for the same arguments. About nodes·(shapes + big apps) + tasks·log(nodes).
    """
    batch = _Batch(snapshot, tasks)
    return [batch.place(task) for task in tasks]


class _Shape:
    """What is common to the tasks of one demand."""

    def __init__(self, demand: Demand, rooms: Iterable[Room]) -> None:
        terms: Sequence[Term] | str
        try:
            terms = parse_affinity(demand.affinity)
        except ValueError as error:
            terms = str(error)
        self.filters: list[Filter] = lasting_filters(demand, terms)
        self.room_filters: list[Filter] = [HasCpu(demand.cpu), HasMemory(demand.memory_bytes)]
        self.cpu_millis = millis(demand.cpu)
        self.memory_bytes = demand.memory_bytes
        self.rooms = [room for room in rooms if all(rule.check(room) for rule in self.filters)]
        self.fits = self._make_fits()
        self.queue = LoadQueue(self.rooms, self.fits)
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
        self._rooms = {
            node.id: Room(node, snapshot.reserved.get(node.id, nothing), snapshot.overcommit) for node in snapshot.nodes
        }
        self._pinned = dict(snapshot.pinned)
        self._spread = {app: dict(counts) for app, counts in snapshot.spread.items()}
        self._sizes = Counter(task.spread_key for task in tasks)
        # Passing over the nodes that an app has already costs tasks² in the shared heap; a heap of its own, nodes.
        self._own_queue_from = isqrt(2 * len(self._rooms)) + 1
        self._shapes: dict[Demand, _Shape] = {}
        self._queues: dict[tuple[str, Demand], SpreadQueue] = {}

    def place(self, task: PendingTask) -> Placement:
        demand = task.demand
        shape = self._shapes.get(demand)
        if shape is None:
            shape = self._shapes[demand] = _Shape(demand, self._rooms.values())
        if shape.failure is not None:
            return Placement(task.task_id, None, shape.failure)
        spread = self._spread.setdefault(task.spread_key, {})
        pinned = {name: self._pinned[name] for name in demand.volumes if name in self._pinned}
        room = self._among(pinned, shape, spread) if pinned else self._best(task, shape, spread)
        if room is None:
            # Room only shrinks while a batch is placed, so what holds for this task holds for all like it.
            filters = [*shape.filters, *([HasVolumes(pinned)] if pinned else []), *shape.room_filters]
            shape.failure = explain(list(self._rooms.values()), filters)
            return Placement(task.task_id, None, shape.failure)
        room.take(shape.cpu_millis, shape.memory_bytes)
        spread[room.node.id] = spread.get(room.node.id, 0) + 1
        for name in demand.volumes:
            self._pinned[name] = frozenset((room.node.id,))
        return Placement(task.task_id, room.node.id)

    def _best(self, task: PendingTask, shape: _Shape, spread: dict[str, int]) -> Room | None:
        if self._sizes[task.spread_key] < self._own_queue_from:
            room = shape.queue.best(spread)
            if room is not None:
                return room
        queue = self._queues.get((task.spread_key, task.demand))
        if queue is None:
            queue = self._queues[task.spread_key, task.demand] = SpreadQueue(shape.rooms, shape.fits, spread)
        return queue.best()

    def _among(self, pinned: dict[str, frozenset[str]], shape: _Shape, spread: dict[str, int]) -> Room | None:
        node_ids = frozenset.intersection(*pinned.values())
        rooms = [room for room in shape.rooms if room.node.id in node_ids and shape.fits(room)]
        return min(rooms, key=lambda room: (spread.get(room.node.id, 0), room.load), default=None)
