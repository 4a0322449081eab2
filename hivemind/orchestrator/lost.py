"""Tasks whose node is not there: forgotten, and made anew elsewhere."""

from __future__ import annotations

from consensus.commands import RescheduleTasks
from consensus.model.node import Node, NodeStatus
from consensus.state import State
from hivemind.orchestrator.alerts import MASS_LOSS
from hivemind.orchestrator.batches import batched


def _waits(state: State, node: Node | None, task_id: str, wall_s: float) -> bool:
    """Whether it stays with its node: for a while, or (it must not run twice) until that returns or is removed."""
    task = state.tasks[task_id]
    if state.waits_for_node(task):
        return True
    app = state.apps.get(task.app)
    if node is None or node.status is not NodeStatus.LOST or not task.wanted or app is None:
        return False
    return wall_s - node.status_since_s < app.spec.reschedule_after_s


def awaits_nodes(state: State) -> bool:
    """Whether time alone may make tasks of a lost node move."""
    return any(node.status is NodeStatus.LOST and state.task_ids_by_node.get(node.id) for node in state.nodes.values())


def plan(state: State, wall_s: float) -> list[RescheduleTasks]:
    """Tasks with `keep_lost` stay, those with `reschedule_after` for so long. `wall_s` is Unix time.

    Nothing while the alert of a mass loss stands: the rest could not carry it, and they may all come back.
    """
    if MASS_LOSS in state.alerts:
        return []
    stranded: list[str] = []
    for node_id, task_ids in state.task_ids_by_node.items():
        node = state.nodes.get(node_id)
        if node is None or not node.holds_tasks:
            stranded += (task_id for task_id in task_ids if not _waits(state, node, task_id, wall_s))
    return [RescheduleTasks(batch) for batch in batched(sorted(stranded))]
