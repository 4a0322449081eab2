"""Tasks whose node is not there: forgotten, and made anew elsewhere."""

from __future__ import annotations

from consensus.commands import RescheduleTasks
from consensus.state import State
from hivemind.orchestrator.alerts import MASS_LOSS
from hivemind.orchestrator.batches import batched


def plan(state: State) -> list[RescheduleTasks]:
    """Nothing while the alert of a mass loss stands: the rest could not carry it, and they may all come back."""
    if MASS_LOSS in state.alerts:
        return []
    stranded: list[str] = []
    for node_id, task_ids in state.task_ids_by_node.items():
        node = state.nodes.get(node_id)
        if node is None or not node.holds_tasks:
            stranded += task_ids
    return [RescheduleTasks(batch) for batch in batched(sorted(stranded))]
