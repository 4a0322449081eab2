"""As many replicas as are wanted: one for each slot, or two while one replaces the other."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.apply.slots import free_slots, surplus, usefulness, wanted_by_slot
from consensus.commands import CreateTasks, RemoveTasks
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.batches import batched


def plan(state: State, apps: Iterable[str]) -> list[CreateTasks | RemoveTasks]:
    """For each of `apps`: tasks for empty slots, and the end of those that are too many."""
    commands: list[CreateTasks | RemoveTasks] = []
    for name in sorted(apps):
        app = state.apps.get(name)
        if app is None:
            continue
        slots = wanted_by_slot(state.tasks_of_app(name))
        doomed = surplus(slots, app.spec.replicas)
        gone = {task.id for task in doomed}
        for tasks in slots.values():
            if len(tasks) > 1 and tasks[0].id not in gone:
                doomed += _doubles(state, tasks)
        commands += (RemoveTasks(batch) for batch in batched([task.id for task in doomed]))
        missing = free_slots(slots, max(0, app.spec.replicas - len(slots)))
        commands += (CreateTasks(name, batch) for batch in batched(missing))
    return commands


def _doubles(state: State, tasks: list[Task]) -> list[Task]:
    """Of one slot: all but its best up-to-date and its best outdated task."""
    doubles = []
    for outdated in (False, True):
        alike = [task for task in tasks if state.outdated(task) is outdated]
        if alike:
            alike.remove(max(alike, key=usefulness))
        doubles += alike
    return doubles
