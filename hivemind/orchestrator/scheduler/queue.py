"""The best node next, from a heap.

While a batch is placed a node's load and an app's replicas there only grow, and a node that is too full stays so.
Hence an entry that is out of date can only be too good: it is put right when it comes to the top, and what then is
at the top is the true minimum, the same as a look at every node would find.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterable, Mapping

from hivemind.orchestrator.scheduler.capacity import Room

Load = tuple[float, int, str]
Entry = tuple[int, int, Load]


class LoadQueue:
    """Nodes by unmet wishes, then load. Shared by the apps of one demand; good for those that take few of its nodes.

    `rank`: how little a node is wished for; it does not change.
    """

    def __init__(self, rooms: Iterable[Room], fits: Callable[[Room], bool], rank: Mapping[str, int]) -> None:
        self._rooms = {room.node.id: room for room in rooms}
        self._fits = fits
        self._rank = rank
        self._heap: list[tuple[int, Load]] = [
            (rank.get(node_id, 0), room.load) for node_id, room in self._rooms.items()
        ]
        heapq.heapify(self._heap)

    def best(self, taken: Container[str]) -> Room | None:
        """The best node that fits and is not `taken`."""
        heap, passed_over, found = self._heap, [], None
        while heap and found is None:
            top = heap[0]
            load = top[1]
            room = self._rooms[load[2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif room.load is not load:
                heapq.heapreplace(heap, (top[0], room.load))
            elif load[2] in taken:
                passed_over.append(heapq.heappop(heap))
            else:
                found = room
        for entry in passed_over:
            heapq.heappush(heap, entry)
        return found


class SpreadQueue:
    """Nodes by the replicas of one app on them, then as LoadQueue does. `spread` is counted by the caller."""

    def __init__(
        self,
        rooms: Iterable[Room],
        fits: Callable[[Room], bool],
        rank: Mapping[str, int],
        spread: Mapping[str, int],
    ) -> None:
        self._rooms = {room.node.id: room for room in rooms}
        self._fits = fits
        self._rank = rank
        self._spread = spread
        self._heap: list[Entry] = [
            (spread.get(node_id, 0), rank.get(node_id, 0), room.load) for node_id, room in self._rooms.items()
        ]
        heapq.heapify(self._heap)

    def best(self) -> Room | None:
        heap = self._heap
        while heap:
            count, rank, load = heap[0]
            room = self._rooms[load[2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif load is not room.load or count != self._spread.get(load[2], 0):
                heapq.heapreplace(heap, (self._spread.get(load[2], 0), rank, room.load))
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
