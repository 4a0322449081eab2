"""Room for what is more important: the fewest and least important tasks of one node go, and are queued again.

Their slots get new, pending replicas (`replicas`). While those that go are still stopping, what they leave is counted
as free for the task that they went for, so that nobody goes in vain.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from consensus.model.affinity import parse_affinity
from consensus.model.node import Node
from consensus.model.scheduling import SchedulerSettings
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.scheduler.capacity import Reserved, ReservedCache, Room, millis
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.filters import lasting_filters
from hivemind.orchestrator.scheduler.snapshot import PendingTask

AT_ONCE = 32
"""Tasks for which room is made in one plan: the search looks at every task of every node that would do."""


class MadeRoom(Struct, frozen=True):
    """Where there will be room for a task once `victims` have gone, and what stops there already."""

    task: Task
    node_id: str
    victims: list[str]


class _Place(Struct):
    """A node while room is made: what is free once all that stops has stopped, and who could go."""

    node: Node
    cpu_millis: int
    memory_bytes: int
    others: list[tuple[int, Task, int, int]]


def make_room(
    state: State, failed: Iterable[tuple[Task, PendingTask]], settings: SchedulerSettings, cache: ReservedCache
) -> list[MadeRoom]:
    """The tasks that must go so that those of `failed`, the most important first, find a place; none for a task that
    finds none so either.

    A task that mounts a local volume makes nobody go: where it may run is decided by the volume.
    """
    asking = [(task, pending) for task, pending in failed if not pending.demand.volumes]
    least = min((state.priority(app.spec) for app in state.apps.values()), default=0)
    asking = [(task, pending) for task, pending in asking if state.priority(state.spec_of(task)) > least][:AT_ONCE]
    if not asking:
        return []
    places = [_place(state, node, settings, cache) for _, node in sorted(state.nodes.items()) if node.schedulable]
    made: list[MadeRoom] = []
    for task, pending in asking:
        able = [place for place in places if pending.node_id in (None, place.node.id)]
        found = _make_room(able, pending.demand, state.priority(state.spec_of(task)))
        if found is not None:
            made.append(MadeRoom(task, *found))
    return made


def _place(state: State, node: Node, settings: SchedulerSettings, cache: ReservedCache) -> _Place:
    room = Room(node, cache.of(state, node.id), settings)
    free_cpu, free_memory = room.cpu_millis_max - room.cpu_millis, room.memory_bytes_max - room.memory_bytes
    others = []
    for task in state.tasks_on_node(node.id):
        spec = state.spec_of(task)
        cpu, memory = millis(spec.resources.cpu), spec.resources.memory_bytes
        if task.wanted:
            others.append((state.priority(spec), task, cpu, memory))
        else:
            free_cpu, free_memory = free_cpu + cpu, free_memory + memory
    # Of equal importance the youngest goes first: it has done the least.
    others.sort(key=lambda other: (other[0], -other[1].created_at_s, other[1].id))
    return _Place(node, free_cpu, free_memory, others)


def _make_room(places: list[_Place], demand: Demand, priority: int) -> tuple[str, list[str]] | None:
    """The node, and who must go there."""
    cpu, memory = millis(demand.cpu), demand.memory_bytes
    try:
        filters = lasting_filters(demand, parse_affinity(demand.affinity))
    except ValueError:
        return None
    best: tuple[tuple[int, int, int, str], _Place, list[tuple[int, Task, int, int]]] | None = None
    for place in places:
        if not all(rule.check(Room(place.node, Reserved(), SchedulerSettings())) for rule in filters):
            continue
        chosen = _fewest(place, cpu, memory, priority)
        if chosen is not None:
            worst = max((other[0] for other in chosen), default=-(10**9))
            rank = (len(chosen) > 0, worst, len(chosen), place.node.id)
            if best is None or rank < best[0]:
                best = rank, place, chosen
    if best is None:
        return None
    _, place, chosen = best
    for other in chosen:
        place.others.remove(other)
    place.cpu_millis += sum(other[2] for other in chosen) - cpu
    place.memory_bytes += sum(other[3] for other in chosen) - memory
    return place.node.id, [other[1].id for other in chosen]


def _fewest(place: _Place, cpu: int, memory: int, priority: int) -> list[tuple[int, Task, int, int]] | None:
    """Least important ones until there is room, and then without those that turned out not to be needed."""
    lack_cpu, lack_memory = (cpu - place.cpu_millis if cpu else 0), (memory - place.memory_bytes if memory else 0)
    chosen: list[tuple[int, Task, int, int]] = []
    for other in place.others:
        if lack_cpu <= 0 and lack_memory <= 0:
            break
        if other[0] >= priority:
            return None
        if (lack_cpu > 0 and other[2]) or (lack_memory > 0 and other[3]):
            chosen.append(other)
            lack_cpu, lack_memory = lack_cpu - other[2], lack_memory - other[3]
    if lack_cpu > 0 or lack_memory > 0:
        return None
    for other in reversed(chosen[:]):
        if lack_cpu + other[2] <= 0 and lack_memory + other[3] <= 0:
            chosen.remove(other)
            lack_cpu, lack_memory = lack_cpu + other[2], lack_memory + other[3]
    return chosen
