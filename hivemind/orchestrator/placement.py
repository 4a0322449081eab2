"""Tasks without a node get one, or say why there is none."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from msgspec.structs import replace

from consensus.commands import Placement, PlaceTasks, RemoveTasks
from consensus.features import FIELDS_SINCE
from consensus.model.task import AWAITS, Task
from consensus.state import State
from hivemind.orchestrator import dependencies
from hivemind.orchestrator.batches import batched
from hivemind.orchestrator.scheduler.capacity import ReservedCache
from hivemind.orchestrator.scheduler.place import place
from hivemind.orchestrator.scheduler.preempt import make_room
from hivemind.orchestrator.scheduler.snapshot import pending_tasks, take_snapshot
from hivemind.orchestrator.scheduler.surroundings import Surroundings

AWAITS_ROOM = f"{AWAITS}room on "


def basis(state: State) -> tuple[Any, ...]:
    """What placing depends on: while these are the same objects, planning again would say the same again."""
    return (state.nodes, state.task_ids_by_node, state.unplaced_task_ids, state.volumes, state.settings)


def plan(
    state: State, surroundings: Surroundings, cache: ReservedCache | None = None
) -> list[PlaceTasks | RemoveTasks]:
    """Decisions that are news: a node, or another reason than the task has already; and who makes room for those
    that are more important."""
    cache = ReservedCache() if cache is None else cache
    held = dependencies.waiting(state)
    pending, told = pending_tasks(state), []
    if held:
        told = [
            Placement(task.id, message=message)
            for task, _ in pending
            if (message := held.get((task.app, task.revision))) and message != task.placement_message
        ]
        pending = [one for one in pending if (one[0].app, one[0].revision) not in held]
    commands: list[PlaceTasks | RemoveTasks] = [PlaceTasks(batch) for batch in batched(told)]
    if not pending:
        return commands
    snapshot = take_snapshot(state, [task for _, task in pending], surroundings, cache)
    waiting = [one for one in pending if awaits_room(one[0])]
    if waiting:
        room_on = {room.task.id: room.node_id for room in make_room(state, waiting, snapshot.settings, cache)}
        pending = [(task, replace(wish, room_on=room_on.get(task.id))) for task, wish in pending]
    decided = list(zip(pending, place(snapshot, [wish for _, wish in pending]), strict=True))
    failed = [one for one, decision in decided if decision.node_id is None]
    # Only when nothing more finds a place as it is: what is placed now takes room that is counted as free there.
    settled = len(failed) == len(decided)
    made = make_room(state, failed, snapshot.settings, cache) if settled else []
    told_of = {room.task.id: f"{AWAITS_ROOM}{room.node_id}, where less important replicas stop" for room in made}
    news = []
    for (task, _), decision in decided:
        if decision.node_id is None:
            decision = Placement(task.id, message=told_of.get(task.id, decision.message))
            if decision.message == task.placement_message or (not settled and awaits_room(task)):
                continue
        news.append(decision)
    commands += (PlaceTasks(batch) for batch in batched(news))
    # Older nodes are not told for whom: they would not know the word.
    tells = state.feature_level >= FIELDS_SINCE[RemoveTasks, "preempted_by"]
    for app, rooms in groupby(made, key=lambda room: room.task.app):
        gone = [victim for room in rooms for victim in room.victims]
        commands += (RemoveTasks(batch, preempted_by=app if tells else "") for batch in batched(gone))
    return commands


def awaits_room(task: Task) -> bool:
    """Whether others stop to make room for it, so that it has a place as soon as they are gone."""
    return task.placement_message.startswith(AWAITS_ROOM)
