"""What placing looks at, taken from a State: it has no more than is needed, so tests make one by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from msgspec import Struct

from consensus.model.node import Node
from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import section_of
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.scheduler.capacity import Reserved, ReservedCache
from hivemind.orchestrator.scheduler.company import Company, company_of
from hivemind.orchestrator.scheduler.demand import Demand, taken_ports
from hivemind.orchestrator.scheduler.surroundings import Surroundings


class PendingTask(Struct, frozen=True):
    """A task that wants a node.

    `revision` is set while its app is being changed: it is then spread among those of its own revision, since the
    others will be gone. `node_id`: the only node that it may go to. `room_on`: where others stop to make room for it;
    until they are gone, nobody who comes after it gets what they leave.
    """

    task_id: str
    app: str
    demand: Demand
    revision: int | None = None
    node_id: str | None = None
    room_on: str | None = None

    @property
    def spread_key(self) -> str:
        return self.app if self.revision is None else f"{self.app}@{self.revision}"


class Snapshot(Struct, frozen=True, kw_only=True):
    """The cluster before a batch is placed.

    Attributes:
        reserved: by node id; a node that is not there has nothing placed on it.
        spread: by app, then node id: its replicas there, without those that are on their way out.
        pinned: by local volume: the nodes that have its data.
        company: by a service affinity: where its wishes are met.
        busy: by node id, the share of the node that is in use, as gossip measured it.
    """

    nodes: tuple[Node, ...]
    reserved: Mapping[str, Reserved] = {}
    spread: Mapping[str, Mapping[str, int]] = {}
    pinned: Mapping[str, frozenset[str]] = {}
    company: Mapping[str, Company] = {}
    busy: Mapping[str, float] = {}
    settings: SchedulerSettings = SchedulerSettings()


def pending_tasks(state: State) -> list[tuple[Task, PendingTask]]:
    """Those without a node, in the order in which they are placed: by importance, then first come, first served."""
    local = frozenset(name for name, volume in state.volumes.items() if volume.is_bound)
    tasks = [task for task in map(state.tasks.__getitem__, state.unplaced_task_ids) if task.wanted]
    priorities = {key: state.priority(state.specs[key]) for key in {(task.app, task.revision) for task in tasks}}
    tasks.sort(
        key=lambda task: (
            -priorities[task.app, task.revision],
            task.created_at_s,
            task.app,
            task.slot,
            task.id,
        )
    )
    taken = taken_ports(state)
    demands: dict[tuple[str, int], Demand] = {}
    pending = []
    for task in tasks:
        key = (task.app, task.revision)
        demand = demands.get(key)
        if demand is None:
            app = state.apps.get(task.app)
            architecture = "" if app is None else app.architectures.get(task.revision, "")
            demand = demands[key] = Demand.of(state.specs[key], local, architecture=architecture, taken_ports=taken)
        revision = task.revision if task.app in state.changing_apps else None
        pending.append((task, PendingTask(task.id, task.app, demand, revision, task.bound_to or None)))
    return pending


def take_snapshot(
    state: State, pending: Sequence[PendingTask], surroundings: Surroundings, cache: ReservedCache
) -> Snapshot:
    """What concerns `pending`. Costs the nodes, the apps concerned, and what is new since the last with `cache`."""
    apps = {task.spread_key: task for task in pending}
    volumes = frozenset(chain.from_iterable(task.demand.volumes for task in pending))
    texts = {task.demand.company for task in pending}
    cache.keep_only(state)
    return Snapshot(
        nodes=tuple(sorted(state.nodes.values(), key=lambda node: node.id)),
        reserved={node_id: cache.of(state, node_id) for node_id in state.nodes},
        spread={key: _spread(state, task) for key, task in apps.items()},
        pinned={name: nodes for name in volumes if (nodes := _nodes_of_volume(state, name))},
        company={text: company_of(state, text, surroundings.places) for text in texts if text},
        busy=surroundings.busy,
        settings=section_of(state.settings, SchedulerSettings),
    )


def _spread(state: State, pending: PendingTask) -> dict[str, int]:
    counts: dict[str, int] = {}
    for task_id in state.task_ids_by_app.get(pending.app, ()):
        task = state.tasks[task_id]
        if pending.revision is not None and task.revision != pending.revision:
            continue
        # A replica that will be gone must not push its successor to another node: rollouts would undo the spread.
        if task.node_id is not None and task.wanted and not state.outdated(task):
            counts[task.node_id] = counts.get(task.node_id, 0) + 1
    return counts


def _nodes_of_volume(state: State, volume: str) -> frozenset[str]:
    bound = state.volumes[volume].node_id
    if bound is not None:
        return frozenset({bound})
    placed = [task for task in state.volume_users(volume) if task.node_id in state.nodes]
    held = [task for task in placed if task.node_id is not None and state.nodes[task.node_id].holds_tasks]
    wanted = [task for task in held if task.wanted]
    return frozenset(task.node_id for task in wanted or held if task.node_id is not None)
