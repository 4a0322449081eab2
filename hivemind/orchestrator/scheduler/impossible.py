"""What no node could hold though all of them were empty: waiting does not help, somebody must act. Pure."""

from __future__ import annotations

from consensus.model.app import App
from consensus.model.node import NodeStatus
from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import section_of
from consensus.state import State
from hivemind.orchestrator.scheduler.capacity import Reserved, Room
from hivemind.orchestrator.scheduler.demand import Demand
from hivemind.orchestrator.scheduler.filters import Filter, HasCpu, HasMemory, LargeEnough, RunsImage, explain


def why_impossible(state: State, app: App, revision: int) -> str:
    """In the words of a pending task; empty where a node would do, or where there is none yet."""
    demand = Demand.of(state.specs[app.name, revision], frozenset(), architecture=app.architectures.get(revision, ""))
    filters: list[Filter] = [
        LargeEnough(demand.cpu_limit, demand.memory_limit_bytes),
        *([RunsImage(demand.architectures)] if demand.architectures else []),
        HasCpu(demand.cpu),
        HasMemory(demand.memory_bytes),
    ]
    settings = section_of(state.settings, SchedulerSettings)
    rooms = []
    for node in state.nodes.values():
        room = Room(node, Reserved(), settings)
        if node.status is NodeStatus.LEFT:
            continue
        if all(rule.check(room) for rule in filters):
            return ""
        rooms.append(room)
    return explain(rooms, filters) if rooms else ""
