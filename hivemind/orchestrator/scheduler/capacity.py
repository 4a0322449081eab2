"""How much of each node is spoken for: the sum of what its tasks request, against capacity times overcommit."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from immutables import Map
from msgspec import Struct

from consensus.model.node import Node
from consensus.model.scheduling import SchedulerSettings
from consensus.state import State

_NONE: Map[str, None] = Map()
NOMINAL_MILLIS = 100
"""What a task that asks for no CPU is taken to use when nodes are compared; filters ask for what was requested.
Kubernetes' figure (`DefaultMilliCPURequest`): without one, a node full of such tasks would seem to be empty."""


class Reserved(Struct, frozen=True):
    """What the tasks placed on one node request together. CPU in thousandths of a core, so that sums are exact.

    `nominal_millis` counts NOMINAL_MILLIS for each that asks for none.
    """

    cpu_millis: int = 0
    memory_bytes: int = 0
    tasks: int = 0
    nominal_millis: int = 0


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
    cpu_millis = memory_bytes = nominal_millis = 0
    for task_id in task_ids:
        resources = state.spec_of(state.tasks[task_id]).resources
        own_millis = millis(resources.cpu)
        cpu_millis += own_millis
        nominal_millis += own_millis or NOMINAL_MILLIS
        memory_bytes += resources.memory_bytes
    return Reserved(cpu_millis, memory_bytes, len(task_ids), nominal_millis)


def millis(cpu: float) -> int:
    """Cores as thousandths."""
    return round(cpu * 1000)


def _no_cost(room: Room) -> float:
    return 0.0


class Room:
    """One node while a batch is placed: what it has, and what is spoken for so far.

    Attributes:
        booked: the share of the scarcest resource that is spoken for; it only grows while a batch is placed.
        busy: the share that gossip measured.
        standing: what nodes are compared by: a cost that follows from these two, then the tasks, then the id.
    """

    __slots__ = (
        "_cost",
        "booked",
        "busy",
        "cpu_millis",
        "cpu_millis_max",
        "memory_bytes",
        "memory_bytes_max",
        "node",
        "nominal_millis",
        "standing",
        "tasks",
    )

    def __init__(
        self,
        node: Node,
        reserved: Reserved,
        settings: SchedulerSettings,
        *,
        busy: float = 0.0,
        cost: Callable[[Room], float] = _no_cost,
    ) -> None:
        self.node = node
        self.cpu_millis_max = int(node.facts.cpu_cores * settings.cpu_overcommit_ratio * 1000)
        self.memory_bytes_max = int(node.facts.memory_bytes * settings.memory_overcommit_ratio)
        self.cpu_millis = reserved.cpu_millis
        self.memory_bytes = reserved.memory_bytes
        self.nominal_millis = reserved.nominal_millis
        self.tasks = reserved.tasks
        self.busy = busy
        self._cost = cost
        self._judge()

    def take(self, cpu_millis: int, memory_bytes: int) -> None:
        self.cpu_millis += cpu_millis
        self.nominal_millis += cpu_millis or NOMINAL_MILLIS
        self.memory_bytes += memory_bytes
        self.tasks += 1
        self._judge()

    def without(self, cpu_millis: int, memory_bytes: int) -> Room:
        """The same node, with one task less."""
        fewer = copy(self)
        fewer.cpu_millis -= cpu_millis
        fewer.nominal_millis -= cpu_millis or NOMINAL_MILLIS
        fewer.memory_bytes -= memory_bytes
        fewer.tasks -= 1
        fewer._judge()
        return fewer

    def _judge(self) -> None:
        cpu = self.nominal_millis / self.cpu_millis_max if self.cpu_millis_max else 0.0
        memory = self.memory_bytes / self.memory_bytes_max if self.memory_bytes_max else 0.0
        self.booked = cpu if cpu > memory else memory
        self.standing: tuple[float, int, str] = (self._cost(self), self.tasks, self.node.id)
