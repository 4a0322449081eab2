"""Apps that wait for others: their first replicas are placed when what they depend on is there.

Only the start is ordered: while a replica of the same revision serves, others follow it whatever became of the rest.
"""

from __future__ import annotations

from consensus.model.dependency import Dependency
from consensus.model.task import AWAITS, TaskState
from consensus.state import State


def waiting(state: State) -> dict[tuple[str, int], str]:
    """Why replicas of an app and revision that have no place yet shall get none now."""
    revisions = {(task.app, task.revision) for task in map(state.tasks.__getitem__, state.unplaced_task_ids)}
    found: dict[tuple[str, int], str] = {}
    for name, revision in revisions:
        app = state.apps.get(name)
        # What does not make a replica anew changes within a revision.
        spec = app.spec if app is not None and app.revision == revision else state.specs.get((name, revision))
        if spec is None or not spec.depends_on or _begun(state, name, revision):
            continue
        unmet = [text for dependency in spec.depends_on if (text := _unmet(state, dependency))]
        if unmet:
            found[name, revision] = f"{AWAITS}{'; '.join(unmet)}"
    return found


def _begun(state: State, name: str, revision: int) -> bool:
    return any(task.revision == revision and state.serves(task) for task in state.tasks_of_app(name))


def _unmet(state: State, dependency: Dependency) -> str:
    """What is missing; "" where nothing is."""
    app = state.apps.get(dependency.app)
    if app is None:
        return f"app {dependency.app}, which does not exist"
    tasks = [task for task in state.tasks_of_app(app.name) if task.wanted and not state.on_standby(task)]
    started = dependency.condition == "started"
    there = sum(task.status.state >= TaskState.RUNNING if started else state.serves(task) for task in tasks)
    needed = app.spec.least_available
    if there >= needed:
        return ""
    return f"app {app.name} ({there} of {needed} {dependency.condition})"
