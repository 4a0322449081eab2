"""Moves of running replicas: begun, and given up. Their end is that the replica is gone."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply.task import mint_task, retire
from consensus.commands import CancelMove, MoveTask
from consensus.draft import Draft
from consensus.model.move import Move
from consensus.model.task import TaskState
from consensus.outcomes import AnyOutcome, Done


def begin(draft: Draft, command: MoveTask) -> AnyOutcome:
    """Passed over where the replica, its app or the node is not any more what the leader saw."""
    state = draft.state
    task, node = state.tasks.get(command.task_id), state.nodes.get(command.node_id)
    if task is None or node is None or not node.schedulable or not task.serving or task.node_id == node.id:
        return Done()
    app = state.apps.get(task.app)
    if app is None or app.spec.is_global or app.name in state.changing_apps or state.outdated(task):
        return Done()
    if any(other.slot == task.slot and other.id != task.id and other.wanted for other in state.tasks_of_app(app.name)):
        return Done()
    draft.put_move(Move(task_id=task.id, node_id=node.id, began_at_s=draft.time_s, reason=command.reason))
    successor = mint_task(draft, app, task.slot, task.revision)
    status = replace(successor.status, state=TaskState.ASSIGNED)
    draft.put_task(replace(successor, node_id=node.id, placement_message=command.reason, status=status))
    return Done()


def cancel(draft: Draft, command: CancelMove) -> AnyOutcome:
    state = draft.state
    move, task = state.moves.get(command.task_id), state.tasks.get(command.task_id)
    if move is None or task is None or not task.wanted or not move.under_way:
        return Done()
    others = [other for other in state.tasks_of_app(task.app) if other.slot == task.slot and other.id != task.id]
    if any(other.serving for other in others):
        return Done()
    for other in others:
        if other.wanted:
            retire(draft, other)
    draft.put_move(replace(move, failed_at_s=draft.time_s))
    return Done()
