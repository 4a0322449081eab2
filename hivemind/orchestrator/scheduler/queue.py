"""The best node next, from a heap.

While a batch is placed an app's replicas on a node only become more, and a node that is too full stays so. Where its
score, too, only falls, an entry that is out of date can only be too good: it is put right when it comes to the top,
and what then is at the top is the true minimum, the same as a look at every node would find. Where a score may rise
(`Scoring.improves`) each queue reads in `Changes` which nodes were taken since it looked last.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Generic, TypeVar

from hivemind.orchestrator.scheduler.capacity import Room

Standing = tuple[float, int, str]
Entry = tuple[int, float, Standing]
E = TypeVar("E", bound=tuple[Any, ...])


class Changes:
    """Which nodes were taken, in order, for queues that must hear of it; `kept` says whether there are such."""

    def __init__(self, *, kept: bool) -> None:
        self.kept = kept
        self.taken: list[Room] = []

    def took(self, room: Room) -> None:
        if self.kept:
            self.taken.append(room)


class _Queue(ABC, Generic[E]):
    """`company_costs`: the part of a node's cost that does not change while the batch is placed."""

    def __init__(
        self,
        rooms: Iterable[Room],
        fits: Callable[[Room], bool],
        company_costs: Mapping[str, float],
        changes: Changes,
    ) -> None:
        self._rooms = {room.node.id: room for room in rooms}
        self._fits = fits
        self._company_costs = company_costs
        self._changes = changes
        self._seen = len(changes.taken)
        self._heap: list[E] = [self._entry(room) for room in self._rooms.values()]
        heapq.heapify(self._heap)

    @abstractmethod
    def _entry(self, room: Room) -> E:
        """What the room is compared by now."""

    def _catch_up(self) -> None:
        taken = self._changes.taken
        for room in dict.fromkeys(taken[self._seen :]):
            if room.node.id in self._rooms:
                heapq.heappush(self._heap, self._entry(room))
        self._seen = len(taken)

    def _put_right(self, room: Room) -> None:
        """The entry on top is out of date. Where changes are kept, the right one is in the heap already."""
        if self._changes.kept:
            heapq.heappop(self._heap)
        else:
            heapq.heapreplace(self._heap, self._entry(room))


class LoadQueue(_Queue[tuple[float, Standing]]):
    """Nodes by cost. Shared by the apps of one demand; good for those that take few of its nodes."""

    def _entry(self, room: Room) -> tuple[float, Standing]:
        standing = room.standing
        return standing[0] + self._company_costs.get(standing[2], 0.0), standing

    def best(self, unwanted: Container[str]) -> Room | None:
        """The best node that fits and is not `unwanted`."""
        if self._changes.kept:
            self._catch_up()
        heap, passed_over, found = self._heap, [], None
        while heap and found is None:
            standing = heap[0][1]
            room = self._rooms[standing[2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif room.standing is not standing:
                self._put_right(room)
            elif standing[2] in unwanted:
                passed_over.append(heapq.heappop(heap))
            else:
                found = room
        for entry in passed_over:
            heapq.heappush(heap, entry)
        return found


class SpreadQueue(_Queue[Entry]):
    """Nodes by the replicas of one app on them, then as LoadQueue does. `spread` is counted by the caller."""

    def __init__(
        self,
        rooms: Iterable[Room],
        fits: Callable[[Room], bool],
        company_costs: Mapping[str, float],
        spread: Mapping[str, int],
        changes: Changes,
    ) -> None:
        self._spread = spread
        super().__init__(rooms, fits, company_costs, changes)

    def _entry(self, room: Room) -> Entry:
        standing = room.standing
        node_id = standing[2]
        return self._spread.get(node_id, 0), standing[0] + self._company_costs.get(node_id, 0.0), standing

    def best(self) -> Room | None:
        if self._changes.kept:
            self._catch_up()
        heap = self._heap
        while heap:
            count, _, standing = heap[0]
            room = self._rooms[standing[2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif standing is not room.standing or count != self._spread.get(standing[2], 0):
                self._put_right(room)
            else:
                return room
        return None

    @property
    def top(self) -> Entry:
        """What the `best` one is compared by."""
        return self._heap[0]


class ZonedQueue:
    """Zones by the replicas of one app in them, and in each a SpreadQueue: a zone that fills makes its nodes wait
    without a touch. `in_zone` is counted by the caller."""

    def __init__(self, queues: Mapping[str, SpreadQueue], in_zone: Mapping[str, int]) -> None:
        self._queues = dict(queues)
        self._in_zone = in_zone

    def best(self) -> Room | None:
        while self._queues:
            least = min(self._in_zone.get(zone, 0) for zone in self._queues)
            found: tuple[Entry, Room] | None = None
            for zone in [zone for zone in self._queues if self._in_zone.get(zone, 0) == least]:
                queue = self._queues[zone]
                room = queue.best()
                if room is None:
                    del self._queues[zone]
                elif found is None or queue.top < found[0]:
                    found = queue.top, room
            if found is not None:
                return found[1]
        return None
