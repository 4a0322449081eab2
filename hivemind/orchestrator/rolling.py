"""Replacing what is outdated (restarted apps, draining nodes): one replica per app at a time, start first.

A replacement is made in the same slot; the old task goes when the new one serves. Where the replacement cannot be
placed, the old one stays and the pending task says why.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.apply.slots import wanted_by_slot
from consensus.commands import CreateTasks, RemoveTasks
from consensus.model.app import App
from consensus.model.task import Task, TaskState
from consensus.state import State
from hivemind.orchestrator.batches import batched


def plan(state: State, apps: Iterable[str]) -> list[CreateTasks | RemoveTasks]:
    """The next step for each of `apps`."""
    commands: list[CreateTasks | RemoveTasks] = []
    for name in sorted(apps):
        app = state.apps.get(name)
        if app is not None:
            commands += _plan_app(state, app)
    return commands


def _plan_app(state: State, app: App) -> list[CreateTasks | RemoveTasks]:
    finished: list[str] = []
    ready_to_go: list[Task] = []
    under_way = unsettled = False
    for tasks in wanted_by_slot(state.tasks_of_app(app.name)).values():
        old = [task for task in tasks if state.outdated(task)]
        new = [task for task in tasks if not state.outdated(task)]
        if not old:
            unsettled = unsettled or any(task.node_id is not None and not task.serving for task in new)
        elif any(task.serving for task in new) or not any(_runs(task) for task in old):
            # One that does not run serves nobody: nothing is lost when it goes first, and its room may be needed.
            finished += (task.id for task in old)
        elif new:
            under_way = True
        else:
            ready_to_go += old
    commands: list[CreateTasks | RemoveTasks] = [RemoveTasks(batch) for batch in batched(finished)]
    if not under_way:
        commands += (CreateTasks(app.name, [task.slot]) for task in _next(app, ready_to_go, unsettled))
    return commands


def _next(app: App, candidates: list[Task], unsettled: bool) -> list[Task]:
    """The one to replace next. What was replaced before must serve, or a bad restart would go through all of them;
    a drain does not change the app, and goes on."""
    allowed = [task for task in candidates if not unsettled or task.generation == app.generation]
    return [min(allowed, key=lambda task: (task.serving, task.slot, task.id))] if allowed else []


def _runs(task: Task) -> bool:
    return task.status.state is TaskState.RUNNING
