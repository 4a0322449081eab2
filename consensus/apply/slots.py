"""Slots: the numbered places of an app's replicas. Each holds one wanted task, or two while one replaces another."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from consensus.model.task import Task, TaskState
from consensus.state import State


def wanted_by_slot(tasks: Iterable[Task]) -> dict[int, list[Task]]:
    """The wanted ones of `tasks`, which are of one app, by slot."""
    slots: dict[int, list[Task]] = {}
    for task in tasks:
        if task.wanted:
            slots.setdefault(task.slot, []).append(task)
    return slots


def free_slots(taken: Iterable[int], count: int) -> list[int]:
    """The `count` lowest slot numbers, from 1, that are not `taken`."""
    used = set(taken)
    slots: list[int] = []
    slot = 0
    while len(slots) < count:
        slot += 1
        if slot not in used:
            slots.append(slot)
    return slots


def usefulness(state: State, task: Task) -> tuple[bool, ...]:
    """Greater for tasks that serve more; of equals, for those that need not be replaced."""
    return (
        state.serves(task),
        task.status.state is TaskState.RUNNING,
        task.node_id is not None,
        not state.outdated(task),
    )


def surplus(state: State, slots: dict[int, list[Task]], replicas: int) -> list[Task]:
    """The tasks to remove so that `replicas` slots are left.

    Slots that are least useful go first, then those on the node that has the most of them, the highest number first.
    """

    def worth(task: Task) -> tuple[bool, ...]:
        return usefulness(state, task)

    best = {slot: max(tasks, key=worth) for slot, tasks in slots.items()}
    per_node = Counter(task.node_id for task in best.values())
    alike: dict[tuple[bool, ...], dict[str | None, list[int]]] = {}
    for slot in sorted(best):
        alike.setdefault(worth(best[slot]), {}).setdefault(best[slot].node_id, []).append(slot)
    victims: list[Task] = []
    left = len(slots) - replicas
    for _, on_nodes in sorted(alike.items()):
        # A node waits with its highest slot, so taking one away costs the nodes and not the slots.
        queue = [(-per_node[node_id], -own[-1], node_id) for node_id, own in on_nodes.items()]
        heapq.heapify(queue)
        while queue and left > 0:
            _, highest, node_id = heapq.heappop(queue)
            victims += slots[-highest]
            left -= 1
            per_node[node_id] -= 1
            own = on_nodes[node_id]
            own.pop()
            if own:
                heapq.heappush(queue, (-per_node[node_id], -own[-1], node_id))
    return victims
