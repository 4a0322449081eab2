"""Tasks whose node is not there: forgotten, and made anew elsewhere."""

from __future__ import annotations

from consensus.commands import RescheduleTasks
from consensus.model.node import Node, NodeStatus
from consensus.state import State
from hivemind.orchestrator.alerts import MASS_LOSS
from hivemind.orchestrator.batches import batched


def _waits(state: State, node: Node | None, task_id: str) -> bool:
    """Whether it must not run twice, and so stays with its node until that returns or is removed."""
    task = state.tasks[task_id]
    return node is not None and node.status is NodeStatus.LOST and task.wanted and state.spec_of(task).keep_lost


def plan(state: State) -> list[RescheduleTasks]:
    """Tasks with `keep_lost` stay.

    Nothing while the alert of a mass loss stands: the rest could not carry it, and they may all come back.
    """
    if MASS_LOSS in state.alerts:
        return []
    stranded: list[str] = []
    for node_id, task_ids in state.task_ids_by_node.items():
        node = state.nodes.get(node_id)
        if node is None or not node.holds_tasks:
            stranded += (task_id for task_id in task_ids if not _waits(state, node, task_id))
    return [RescheduleTasks(batch) for batch in batched(sorted(stranded))]
