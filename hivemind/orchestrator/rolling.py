"""Replacing replicas that are not what their slot shall have: restarted apps, draining nodes, new revisions.

A replacement is made in the same slot; with start first, which is the rule, the old task goes when the new one serves.
Where the replacement cannot be placed, the old one stays and the pending task says why.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.commands import CreateTasks, RemoveTasks
from consensus.model.app import App
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.batches import batched
from hivemind.orchestrator.sets import Limits, ReplicaSet, fits, limits_of, runs, sets_of


def plan(state: State, apps: Iterable[str]) -> list[CreateTasks | RemoveTasks]:
    """The next step for each of `apps`."""
    commands: list[CreateTasks | RemoveTasks] = []
    for name in sorted(apps):
        app = state.apps.get(name)
        if app is not None:
            limits = limits_of(state, app, state.deployment_of(app))
            for replica_set in sets_of(state, app):
                # Which slots are too many may change with what is replaced: those go first (`replicas`).
                if replica_set.surplus:
                    continue
                commands += _plan_set(state, app, replica_set, limits)
    return commands


def _plan_set(state: State, app: App, replica_set: ReplicaSet, limits: Limits) -> list[CreateTasks | RemoveTasks]:
    finished: list[str] = []
    candidates: list[Task] = []
    under_way, unsettled = 0, False
    available = sum(any(map(state.serves, tasks)) for tasks in replica_set.slots.values())
    # Beyond what its `min_available` keeps, a drain may take replicas whose successors find no place.
    spare = available - app.spec.least_available
    for slot, tasks in replica_set.slots.items():
        revision = replica_set.revisions[slot]
        new = [task for task in tasks if fits(state, task, revision)]
        old = [task for task in tasks if not fits(state, task, revision)]
        if not old:
            unsettled = unsettled or any(task.node_id is not None and not state.serves(task) for task in new)
        elif any(state.serves(task) or (limits.accept_failing and task.failing) for task in new) or not any(
            runs(task) for task in old
        ):
            # One that does not run serves nobody: nothing is lost when it goes first, and its room may be needed.
            finished += (task.id for task in old)
        elif (
            new
            and _no_place(new)
            and (limits.give_way or (spare > 0 and all(task.revision == revision for task in old)))
        ):
            finished += (task.id for task in old)
            spare -= 1
        elif new:
            under_way += 1
            if limits.stop_first:
                candidates += old
        else:
            candidates += old
    stopped, started = _next(state, app, candidates, unsettled, limits, under_way, available - replica_set.replicas)
    commands: list[CreateTasks | RemoveTasks] = [
        RemoveTasks(batch) for batch in batched([*finished, *(task.id for task in stopped)])
    ]
    for task in started:
        revision = replica_set.revisions[task.slot]
        commands.append(CreateTasks(app.name, [task.slot], 0 if revision == app.revision else revision))
    return commands


def _no_place(tasks: list[Task]) -> bool:
    return any(task.node_id is None and task.placement_message for task in tasks)


def _next(
    state: State, app: App, candidates: list[Task], unsettled: bool, limits: Limits, under_way: int, spare: int
) -> tuple[list[Task], list[Task]]:
    """Which old ones to stop, and beside which to start a new one. `spare`: those available beyond what is wanted.

    After a restart, what was replaced before must serve, or a bad one would go through all; a drain does not change
    the app, and a deployment has its own gates: both go on.
    """
    allowed = [task for task in candidates if not unsettled or app.rollout or task.generation == app.generation]
    allowed.sort(key=lambda task: (state.serves(task), task.slot, task.id))
    to_stop = max(0, limits.unavailable + spare)
    to_start = max(0, limits.surge - under_way)
    if limits.stop_first:
        # One that serves nobody costs nothing when it stops.
        idle = [task for task in allowed if not state.serves(task)]
        rest = [task for task in allowed if state.serves(task)]
        return [*idle, *rest[:to_stop]], rest[to_stop : to_stop + to_start]
    started, rest = allowed[:to_start], allowed[to_start:]
    return rest[:to_stop], started
