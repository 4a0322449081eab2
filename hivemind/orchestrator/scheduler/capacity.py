"""How much of each node is spoken for: the sum of what its tasks request, against capacity times overcommit."""

from __future__ import annotations

from immutables import Map
from msgspec import Struct

from consensus.model.node import Node
from consensus.state import State

_NONE: Map[str, None] = Map()


class Overcommit(Struct, frozen=True):
    """How much may be requested of what a node has. CPU is shared by time, memory hardly: hence the defaults."""

    cpu_ratio: float = 1.5
    memory_ratio: float = 1.2


class Reserved(Struct, frozen=True):
    """What the tasks placed on one node request together. CPU in thousandths of a core, so that sums are exact."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    tasks: int = 0


class ReservedCache:
    """What was reserved at the last look. A task's requests never change, so only nodes whose set of tasks is
    another one are counted again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Map[str, None], Reserved]] = {}

    def of(self, state: State, node_id: str) -> Reserved:
        task_ids = state.task_ids_by_node.get(node_id, _NONE)
        known = self._known.get(node_id)
        if known is not None and known[0] is task_ids:
            return known[1]
        reserved = _count(state, task_ids)
        self._known[node_id] = (task_ids, reserved)
        return reserved

    def uncounted(self, state: State) -> int:
        """How many tasks the next look has to count."""
        known = self._known
        return sum(
            len(task_ids)
            for node_id, task_ids in state.task_ids_by_node.items()
            if node_id not in known or known[node_id][0] is not task_ids
        )

    def keep_only(self, state: State) -> None:
        """Forgets nodes that are gone."""
        if len(self._known) > len(state.nodes):
            self._known = {node_id: known for node_id, known in self._known.items() if node_id in state.nodes}


def _count(state: State, task_ids: Map[str, None]) -> Reserved:
    cpu_millis = memory_bytes = 0
    for task_id in task_ids:
        resources = state.spec_of(state.tasks[task_id]).resources
        cpu_millis += millis(resources.cpu)
        memory_bytes += resources.memory_bytes
    return Reserved(cpu_millis, memory_bytes, len(task_ids))


def millis(cpu: float) -> int:
    """Cores as thousandths."""
    return round(cpu * 1000)


class Room:
    """One node while a batch is placed: what it has, and what is spoken for so far.

    `load` is what nodes are compared by: the scarcest resource's share, then the tasks, then the id. It only grows.
    """

    __slots__ = ("cpu_millis", "cpu_millis_max", "load", "memory_bytes", "memory_bytes_max", "node", "tasks")

    def __init__(self, node: Node, reserved: Reserved, overcommit: Overcommit) -> None:
        self.node = node
        self.cpu_millis_max = int(node.facts.cpu_cores * overcommit.cpu_ratio * 1000)
        self.memory_bytes_max = int(node.facts.memory_bytes * overcommit.memory_ratio)
        self.cpu_millis = reserved.cpu_millis
        self.memory_bytes = reserved.memory_bytes
        self.tasks = reserved.tasks
        self.load = self._load()

    def take(self, cpu_millis: int, memory_bytes: int) -> None:
        self.cpu_millis += cpu_millis
        self.memory_bytes += memory_bytes
        self.tasks += 1
        self.load = self._load()

    def _load(self) -> tuple[float, int, str]:
        cpu = self.cpu_millis / self.cpu_millis_max if self.cpu_millis_max else 0.0
        memory = self.memory_bytes / self.memory_bytes_max if self.memory_bytes_max else 0.0
        return (cpu if cpu > memory else memory, self.tasks, self.node.id)
