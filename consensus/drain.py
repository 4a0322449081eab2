"""How far the draining of a node is, and what holds it up, seen from the state."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app import App
from consensus.model.node import Node
from consensus.model.task import Task
from consensus.state import State


class Remaining(Struct, frozen=True):
    """A task that is still on the node, and what it waits for. `blocked`: it will not go by itself."""

    task_id: str
    app: str
    message: str
    blocked: bool = False


class DrainProgress(Struct, frozen=True):
    """`total`: how many tasks the node had when the drain began."""

    total: int
    remaining: list[Remaining]


def drain_progress(state: State, node: Node) -> DrainProgress | None:
    """None: the node is not drained."""
    if not node.draining:
        return None
    # Attempts that are over stay for what they wrote; nothing of them runs.
    at_work = (task for task in state.tasks_on_node(node.id) if not task.ended)
    tasks = sorted(at_work, key=lambda task: (task.app, task.slot, task.id))
    remaining = [_remaining(state, task) for task in tasks]
    return DrainProgress(max(node.drained_tasks, len(remaining)), remaining)


def available_of(state: State, app: App) -> int:
    """How many of the replicas that shall be there serve."""
    serving = (task for task in state.tasks_of_app(app.name) if task.wanted and state.serves(task))
    return len({task.slot for task in serving if not state.on_standby(task)})


def is_held(state: State, app: App, task: Task, available: int) -> bool:
    """Whether a drain must leave it where it is: it must not run twice and so would stop first, and so few as
    `available` of its app serve. A restart or a rollout takes it all the same."""
    node = state.nodes.get(task.node_id or "")
    if node is None or not node.draining or app.rollout or task.generation < app.generation:
        return False
    once = app.spec.keep_lost and app.spec.min_available is not None
    return once and state.serves(task) and available <= app.spec.least_available


def _remaining(state: State, task: Task) -> Remaining:
    if not task.wanted:
        return Remaining(task.id, task.app, "stops")
    successors = [
        other
        for other in state.tasks_of_app(task.app)
        if other.wanted and other.slot == task.slot and other.id != task.id and not state.outdated(other)
    ]
    for successor in successors:
        if successor.node_id is None and successor.placement_message:
            return Remaining(
                task.id, task.app, f"its successor finds no place: {successor.placement_message}", blocked=True
            )
        return Remaining(task.id, task.app, f"its successor {successor.id} is not healthy yet")
    app = state.apps.get(task.app)
    if app is not None and is_held(state, app, task, available_of(state, app)):
        told = (
            "it must not run twice and so would stop first,"
            f" but min_available ({app.spec.min_available}) lets none be missing;"
            " more replicas, a lower min_available, or a restart of the app move it"
        )
        return Remaining(task.id, task.app, told, blocked=True)
    return Remaining(task.id, task.app, "waits for its turn")
