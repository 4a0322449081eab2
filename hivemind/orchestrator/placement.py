"""Tasks without a node get one, or say why there is none."""

from __future__ import annotations

from typing import Any

from consensus.commands import PlaceTasks
from consensus.state import State
from hivemind.orchestrator.batches import batched
from hivemind.orchestrator.scheduler.capacity import Overcommit, ReservedCache
from hivemind.orchestrator.scheduler.place import place
from hivemind.orchestrator.scheduler.snapshot import pending_tasks, take_snapshot


def basis(state: State) -> tuple[Any, ...]:
    """What placing depends on: while these are the same objects, planning again would say the same again."""
    return (state.nodes, state.task_ids_by_node, state.unplaced_task_ids, state.volumes)


def plan(state: State, overcommit: Overcommit, cache: ReservedCache | None = None) -> list[PlaceTasks]:
    """Decisions that are news: a node, or another reason than the task has already."""
    pending = pending_tasks(state)
    if not pending:
        return []
    tasks = [task for _, task in pending]
    snapshot = take_snapshot(state, tasks, overcommit, ReservedCache() if cache is None else cache)
    news = [
        decision
        for (task, _), decision in zip(pending, place(snapshot, tasks), strict=True)
        if decision.node_id is not None or decision.message != task.placement_message
    ]
    return [PlaceTasks(batch) for batch in batched(news)]
