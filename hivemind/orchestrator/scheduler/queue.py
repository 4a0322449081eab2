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


class LoadQueue:
    """Nodes by load. Shared by the apps of one demand; good for those that take few of its nodes."""

    def __init__(self, rooms: Iterable[Room], fits: Callable[[Room], bool]) -> None:
        self._rooms = {room.node.id: room for room in rooms}
        self._fits = fits
        self._heap: list[Load] = [room.load for room in self._rooms.values()]
        heapq.heapify(self._heap)

    def best(self, taken: Container[str]) -> Room | None:
        """The least loaded node that fits and is not `taken`."""
        heap, passed_over, found = self._heap, [], None
        while heap and found is None:
            top = heap[0]
            room = self._rooms[top[2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif room.load is not top:
                heapq.heapreplace(heap, room.load)
            elif top[2] in taken:
                passed_over.append(heapq.heappop(heap))
            else:
                found = room
        for load in passed_over:
            heapq.heappush(heap, load)
        return found


class SpreadQueue:
    """Nodes by the replicas of one app on them, then by load."""

    def __init__(self, rooms: Iterable[Room], fits: Callable[[Room], bool], spread: Mapping[str, int]) -> None:
        self._rooms = {room.node.id: room for room in rooms}
        self._fits = fits
        self._spread = spread
        self._heap: list[tuple[int, Load]] = [
            (spread.get(node_id, 0), room.load) for node_id, room in self._rooms.items()
        ]
        heapq.heapify(self._heap)

    def best(self) -> Room | None:
        heap = self._heap
        while heap:
            top = heap[0]
            room = self._rooms[top[1][2]]
            if not self._fits(room):
                heapq.heappop(heap)
            elif top[1] is not room.load or top[0] != self._spread.get(room.node.id, 0):
                heapq.heapreplace(heap, (self._spread.get(room.node.id, 0), room.load))
            else:
                return room
        return None
