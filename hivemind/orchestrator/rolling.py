"""Replacing replicas that are not what their slot shall have: restarted apps, draining nodes, new revisions.

A replacement is made in the same slot; with start first, which is the rule, the old task goes when the new one serves.
Where the replacement cannot be placed, the old one makes room as far as replicas may be missing; else it stays, and
the pending task says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from msgspec import Struct, field

from consensus.commands import CreateTasks, RemoveTasks
from consensus.drain import is_held
from consensus.model.app import App
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.batches import batched
from hivemind.orchestrator.limits import Limits, limits_of
from hivemind.orchestrator.sets import ReplicaSet, fits, runs, sets_of


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


class Turnover(Struct):
    """How far one set of replicas is.

    Attributes:
        finished: old ones that are not needed any more.
        blocked: by slot, old ones whose successor finds no place.
        candidates: old ones that may be replaced next.
        under_way: how many slots have a new one that does not serve yet beside the old one.
        unsettled: some that were replaced do not serve.
    """

    finished: list[Task] = field(default_factory=list)
    blocked: list[list[Task]] = field(default_factory=list)
    candidates: list[Task] = field(default_factory=list)
    under_way: int = 0
    unsettled: bool = False


def _plan_set(state: State, app: App, replica_set: ReplicaSet, limits: Limits) -> list[CreateTasks | RemoveTasks]:
    available = sum(any(map(state.serves, tasks)) for tasks in replica_set.slots.values())
    # Beyond what its `min_available` keeps, a drain may take replicas whose successors find no place.
    turnover = _look(state, app, replica_set, limits, spare=available - app.spec.least_available)
    turnover.candidates = [task for task in turnover.candidates if not is_held(state, app, task, available)]
    to_stop = max(0, limits.unavailable + available - replica_set.replicas)
    giving = [] if limits.stop_first else turnover.blocked[:to_stop]
    stopped, started = _next(state, app, turnover, limits, to_stop - len(giving))
    gone = [*turnover.finished, *chain.from_iterable(giving), *stopped]
    commands: list[CreateTasks | RemoveTasks] = [RemoveTasks(batch) for batch in batched([task.id for task in gone])]
    for task in started:
        revision = replica_set.revisions[task.slot]
        commands.append(CreateTasks(app.name, [task.slot], 0 if revision == app.revision else revision))
    return commands


def _look(state: State, app: App, replica_set: ReplicaSet, limits: Limits, spare: int) -> Turnover:
    """`spare`: how many may go although their successors find no place."""
    seen = Turnover()
    for slot, tasks in replica_set.slots.items():
        revision = replica_set.revisions[slot]
        new = [task for task in tasks if fits(state, task, revision)]
        old = [task for task in tasks if not fits(state, task, revision)]
        lacks_place = any(task.lacks_place for task in new)
        if not old:
            seen.unsettled |= any(task.node_id is not None and not state.serves(task) for task in new)
        elif _replaced(state, new, limits) or not any(map(runs, old)):
            # One that does not run serves nobody: nothing is lost when it goes first, and its room may be needed.
            seen.finished += old
        elif lacks_place and _may_go_first(state, app, old, revision):
            seen.finished += old
        elif lacks_place and (limits.give_way or (spare > 0 and all(task.revision == revision for task in old))):
            seen.finished += old
            spare -= 1
        elif new:
            seen.under_way += 1
            if lacks_place:
                seen.blocked.append(old)
            if limits.stop_first:
                seen.candidates += old
        else:
            seen.candidates += old
    return seen


def _may_go_first(state: State, app: App, old: list[Task], revision: int) -> bool:
    """In an update, what serves nobody: that loses nothing, and may be what mends the app. After one that went on
    without room, all that is not of the app's revision: nobody wants those any more."""
    if app.rollout:
        return not any(state.serves(task) for task in old)
    return any(task.revision != revision for task in old)


def _replaced(state: State, new: list[Task], limits: Limits) -> bool:
    return any(state.serves(task) or (limits.accept_failing and task.failing) for task in new)


def _next(state: State, app: App, turnover: Turnover, limits: Limits, to_stop: int) -> tuple[list[Task], list[Task]]:
    """Which old ones to stop, and beside which to start a new one. `to_stop`: how many that serve may stop.

    After a restart, what was replaced before must serve, or a bad one would go through all; a drain does not change
    the app, and a deployment has its own gates: both go on.
    """
    held = turnover.unsettled and not app.rollout
    allowed = [task for task in turnover.candidates if not held or task.generation == app.generation]
    allowed.sort(key=lambda task: (state.serves(task), task.slot, task.id))
    to_start = max(0, limits.surge - turnover.under_way)
    if limits.stop_first:
        # One that serves nobody costs nothing when it stops.
        idle = [task for task in allowed if not state.serves(task)]
        rest = allowed[len(idle) :]
        return [*idle, *rest[:to_stop]], rest[to_stop : to_stop + to_start]
    started, rest = allowed[:to_start], allowed[to_start:]
    return rest[:to_stop], started
