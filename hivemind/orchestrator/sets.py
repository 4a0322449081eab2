"""Which replicas an app shall have now: for each slot, of which revision.

Without a deployment that is one set of the app's own revision. A deployment shares the slots out among revisions, and
a blue-green one has a second, whole set beside the first. Which slot belongs to which revision is not stored: it
follows from what is there, so that every leader finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from consensus.apply.slots import free_slots, surplus, wanted_by_slot
from consensus.model.app import App
from consensus.model.deployment import Share, shares
from consensus.model.task import Task, TaskState
from consensus.state import State


class ReplicaSet(Struct, frozen=True, kw_only=True):
    """One set of slots.

    Attributes:
        slots: the wanted tasks by slot.
        revisions: of which revision the replica of each slot shall be, also of slots that are empty.
        surplus: tasks of slots that are too many.
    """

    replicas: int
    slots: dict[int, list[Task]]
    revisions: dict[int, int]
    surplus: list[Task]

    @property
    def missing(self) -> dict[int, list[int]]:
        """The empty slots by the revision that they shall have."""
        found: dict[int, list[int]] = {}
        for slot, revision in sorted(self.revisions.items()):
            if slot not in self.slots:
                found.setdefault(revision, []).append(slot)
        return found


def sets_of(state: State, app: App) -> list[ReplicaSet]:
    """The app's own, and the one on standby where there is one."""
    tasks: Sequence[Task] = state.tasks_of_app(app.name)
    if app.name not in state.changing_apps:
        return [_make(state, app, [Share(app.revision, app.spec.replicas)], wanted_by_slot(tasks))]
    standby = app.standby
    beside: list[ReplicaSet] = []
    if standby is not None:
        idle = [task for task in tasks if task.revision == standby.revision]
        tasks = [task for task in tasks if task.revision != standby.revision]
        beside = [_make(state, app, [Share(standby.revision, standby.replicas)], wanted_by_slot(idle))]
    return [_make(state, app, shares(app, state.deployment_of(app)), wanted_by_slot(tasks)), *beside]


def _make(state: State, app: App, wanted: list[Share], slots: dict[int, list[Task]]) -> ReplicaSet:
    replicas = sum(share.replicas for share in wanted)
    if app.spec.is_global:
        places = app.places if replicas else {}
        doomed = [task for slot, tasks in slots.items() if slot not in places for task in tasks]
        missing = [slot for slot in places if slot not in slots]
    else:
        doomed = surplus(state, slots, replicas) if len(slots) > replicas else []
        missing = free_slots(slots, replicas - len(slots)) if len(slots) < replicas else []
    gone = {task.slot for task in doomed}
    kept = {slot: tasks for slot, tasks in slots.items() if slot not in gone}
    if len(wanted) == 1:
        revisions = dict.fromkeys((*kept, *missing), wanted[0].revision)
    else:
        revisions = _share_out(state, wanted, kept, missing)
    return ReplicaSet(replicas=replicas, slots=kept, revisions=revisions, surplus=doomed)


def _share_out(state: State, wanted: list[Share], slots: dict[int, list[Task]], missing: list[int]) -> dict[int, int]:
    """Slots stay with the revision that they have a task of, as far as its share goes; the newest choose first.
    What is left goes to empty slots before those that would have to be changed, and there to those that serve least.
    """
    revisions: dict[int, int] = {}
    left = {share.revision: share.replicas for share in wanted}
    for revision in left:
        having = [slot for slot in slots if slot not in revisions and _has(slots[slot], revision)]
        having.sort(key=lambda slot: (not _serves(state, slots[slot], revision), slot))
        for slot in having[: left[revision]]:
            revisions[slot] = revision
        left[revision] -= min(left[revision], len(having))
    rest = [slot for slot in slots if slot not in revisions]
    rest.sort(key=lambda slot: (any(map(state.serves, slots[slot])), slot))
    open_slots = [*missing, *rest]
    for revision, count in left.items():
        for slot in open_slots[:count]:
            revisions[slot] = revision
        open_slots = open_slots[count:]
    return revisions


def _has(tasks: list[Task], revision: int) -> bool:
    return any(task.revision == revision for task in tasks)


def _serves(state: State, tasks: list[Task], revision: int) -> bool:
    return any(task.revision == revision and state.serves(task) for task in tasks)


def fits(state: State, task: Task, revision: int) -> bool:
    """Whether `task` is what its slot shall have."""
    return task.revision == revision and not state.outdated(task)


def runs(task: Task) -> bool:
    return task.status.state is TaskState.RUNNING
