"""As many replicas as are wanted: one for each slot, or two while one replaces the other."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.apply.slots import usefulness
from consensus.commands import CreateTasks, RemoveTasks
from consensus.model.app import App
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.batches import batched
from hivemind.orchestrator.limits import limits_of
from hivemind.orchestrator.sets import fits, sets_of


def plan(state: State, apps: Iterable[str]) -> list[CreateTasks | RemoveTasks]:
    """For each of `apps`: tasks for empty slots, and the end of those that are too many."""
    commands: list[CreateTasks | RemoveTasks] = []
    for name in sorted(apps):
        app = state.apps.get(name)
        if app is None:
            commands += (RemoveTasks(batch) for batch in batched(_left_behind(state, name)))
            continue
        waiting = _still_stopping(state, app)
        for replica_set in sets_of(state, app):
            doomed = list(replica_set.surplus)
            for slot, tasks in replica_set.slots.items():
                if len(tasks) > 1:
                    doomed += _doubles(state, tasks, replica_set.revisions[slot])
            commands += (RemoveTasks(batch) for batch in batched([task.id for task in doomed]))
            for revision, slots in replica_set.missing.items():
                # The app's own revision need not be said.
                own = 0 if revision == app.revision else revision
                free = [slot for slot in slots if slot not in waiting]
                commands += (CreateTasks(name, batch, own) for batch in batched(free))
    return commands


def _left_behind(state: State, name: str) -> list[str]:
    """The replicas of an app that was deleted, where they were too many for one entry to end."""
    if name in state.workloads:
        return []
    return [task.id for task in state.tasks_of_app(name) if task.wanted and not task.run]


def _still_stopping(state: State, app: App) -> frozenset[int]:
    """Slots whose last replica must be gone before the next one starts."""
    deployment = state.deployment_of(app)
    if not app.spec.keep_lost and (deployment is None or not limits_of(state, app, deployment).stop_first):
        return frozenset()
    return frozenset(task.slot for task in state.tasks_of_app(app.name) if not task.wanted)


def _doubles(state: State, tasks: list[Task], revision: int) -> list[Task]:
    """Of one slot: all but the best of what it shall have and the best of the rest."""
    doubles = []
    for fitting in (True, False):
        alike = [task for task in tasks if fits(state, task, revision) is fitting]
        if alike:
            alike.remove(max(alike, key=lambda task: usefulness(state, task)))
        doubles += alike
    return doubles
