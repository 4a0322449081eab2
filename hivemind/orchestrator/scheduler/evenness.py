"""What makes the cluster more even: one replica that should be elsewhere, and where.

Two measures, as in placing: first each app is spread (over its zones, then over nodes), then load is shared. A move
makes the first better, or the second without making the first worse, so moves come to an end: nothing goes back and
forth. What is booked changes by moves only, so it says when load is uneven; but a replica goes only to where it would
be placed now, by the score that placing has. So nothing is sent to a node that placing found to be busy, and what was
just placed stays. Where the strategy is another than WorstFit, uneven load is what was asked for, and only apps are
spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from immutables import Map
from msgspec import Struct

from consensus.model.affinity import affinity_labels, parse_affinity
from consensus.model.app import App
from consensus.model.node import Node
from consensus.model.scheduling import SchedulerSettings
from consensus.model.task import Task
from consensus.model.workload import intolerable
from consensus.state import State
from hivemind.orchestrator.scheduler.capacity import NOMINAL_MILLIS, ReservedCache, Room, millis
from hivemind.orchestrator.scheduler.company import Company, company_of
from hivemind.orchestrator.scheduler.demand import Demand, taken_ports
from hivemind.orchestrator.scheduler.filters import lasting_filters
from hivemind.orchestrator.scheduler.score import Scoring
from hivemind.orchestrator.scheduler.surroundings import Surroundings

RETRY_AFTER_S = 600.0
"""An app of which a move failed is left alone for so long."""
FULLEST_NODES = 16
"""Nodes of which tasks are considered when load is shared: if none of these can give one away, the others wait."""
_NONE: Map[str, None] = Map()


class Shift(Struct, frozen=True):
    """One replica that should go to another node."""

    task: Task
    node_id: str
    reason: str


class _Spread(Struct, frozen=True):
    """How one app is spread: replicas by node, and by the zone of the label that it asks for."""

    label: str
    by_node: Counter[str]
    by_zone: Counter[str]


class Evenness:
    """The cluster at one moment. `wall_s` is Unix time, compared with when nodes became ready and moves failed."""

    def __init__(
        self,
        state: State,
        settings: SchedulerSettings,
        surroundings: Surroundings,
        cache: ReservedCache,
        wall_s: float,
    ) -> None:
        self._state = state
        self._settings = settings
        self._wall_s = wall_s
        self._local = frozenset(name for name, volume in state.volumes.items() if volume.type == "local")
        cache.keep_only(state)
        nodes = [node for _, node in sorted(state.nodes.items()) if node.schedulable]
        self._scoring = Scoring(settings, [node.id for node in nodes])
        cost = self._scoring.standing()
        busy = surroundings.busy
        self._rooms = {
            node.id: Room(node, cache.of(state, node.id), settings, busy=busy.get(node.id, 0.0), cost=cost)
            for node in nodes
        }
        settled = (room for room in self._rooms.values() if self._is_settled(room.node))
        self._settled = sorted(settled, key=lambda room: room.standing)
        self._taken_ports = taken_ports(state)
        self._places = surroundings.places
        self._fitting: dict[Demand, list[Room]] = {}
        self._movable: dict[str, bool] = {}
        self._companies: dict[str, tuple[Company, Mapping[str, float]]] = {}

    def _is_settled(self, node: Node) -> bool:
        return self._wall_s - node.status_since_s >= self._settings.rebalance_settle_s

    def shift(self, apps: Iterable[str]) -> Shift | None:
        """The next replica to move, or None where all is even enough. `apps`: those that may be spread unevenly."""
        if len(self._rooms) < 2 or not self._settled:
            return None
        for name in sorted(apps):
            found = self._spread_better(name)
            if found is not None:
                return found
        return self._share_load() if self._settings.strategy == "WorstFit" else None

    # -- spread

    def _spread_better(self, name: str) -> Shift | None:
        app = self._state.apps.get(name)
        if app is None or not self._may_move(app):
            return None
        spread = self._spread_of(app)
        _, costs = self._company(app)
        best: tuple[tuple[int, int, int, float], Room, Room] | None = None
        for source in self._fullest_of_each_zone(spread):
            for target in self._best_of_each_zone(app, spread):
                gain = self._gain(spread, source, target)
                if gain > (0, 0):
                    rank = (*gain, -spread.by_node[target.node.id], -_cost(target, costs))
                    if best is None or rank > best[0]:
                        best = rank, source, target
        if best is None:
            return None
        _, source, target = best
        there, here = spread.by_node[source.node.id], spread.by_node[target.node.id]
        reason = f"moved to spread the app: {there} replicas were on {source.node.id}, {here} on {target.node.id}"
        return Shift(self._youngest(app, source.node.id), target.node.id, reason)

    def _gain(self, spread: _Spread, source: Room, target: Room) -> tuple[int, int]:
        """By how much zones, else nodes, become more even; (0, 0) where they would not."""
        zones = 0
        here, there = self._zone(source, spread.label), self._zone(target, spread.label)
        if here != there:
            zones = spread.by_zone[here] - spread.by_zone[there]
            if zones >= 2:
                return zones, 0
            if zones < 1:
                return 0, 0
        nodes = spread.by_node[source.node.id] - spread.by_node[target.node.id]
        return (0, nodes) if nodes >= 2 else (0, 0)

    def _fullest_of_each_zone(self, spread: _Spread) -> list[Room]:
        found: dict[str, Room] = {}
        for node_id in sorted(spread.by_node):
            room = self._rooms.get(node_id)
            if room is None:
                continue
            known = found.get(zone := self._zone(room, spread.label))
            count, most = spread.by_node[node_id], 0 if known is None else spread.by_node[known.node.id]
            if known is None or (count, room.booked) > (most, known.booked):
                found[zone] = room
        return list(found.values())

    def _best_of_each_zone(self, app: App, spread: _Spread) -> list[Room]:
        found: dict[str, Room] = {}
        for room in self._targets(app):
            known = found.get(zone := self._zone(room, spread.label))
            if known is None or spread.by_node[room.node.id] < spread.by_node[known.node.id]:
                found[zone] = room
        return list(found.values())

    # -- load

    def _share_load(self) -> Shift | None:
        least = min(room.booked for room in self._settled)
        fullest = sorted(self._rooms.values(), key=lambda room: (-room.booked, room.node.id))[:FULLEST_NODES]
        for source in fullest:
            if source.booked - least <= self._settings.rebalance_threshold:
                return None
            found = min(self._lighten(source), key=lambda shift: shift[:2], default=None)
            if found is not None:
                return found[2]
        return None

    def _lighten(self, source: Room) -> Iterator[tuple[float, str, Shift]]:
        """What may go, and how full the fuller of the two nodes is then."""
        margin = self._settings.rebalance_threshold / 4
        for name in sorted({task.app for task in self._state.tasks_on_node(source.node.id)}):
            app = self._state.apps.get(name)
            if app is None or not self._may_move(app):
                continue
            spread = self._spread_of(app)
            if not spread.by_node[source.node.id]:
                continue
            target = self._lighter(app, spread, source)
            if target is None:
                continue
            after = _booked_with(target, app, 1)
            # Or the two would only change places.
            if after <= source.booked - margin:
                task = self._youngest(app, source.node.id)
                reason = f"moved to share the load: {source.booked:.0%} of {source.node.id} was booked, "
                reason += f"{target.booked:.0%} of {target.node.id}"
                yield max(after, _booked_with(source, app, -1)), task.id, Shift(task, target.node.id, reason)

    def _lighter(self, app: App, spread: _Spread, source: Room) -> Room | None:
        """Where one from `source` would be placed now, if that is emptier by more than the threshold."""
        company, costs = self._company(app)
        target = next((room for room in self._targets(app) if self._keeps_spread(spread, source, room)), None)
        if target is None or source.booked - target.booked <= self._settings.rebalance_threshold:
            return None
        resources = app.spec.resources
        without = source.without(millis(resources.cpu), resources.memory_bytes)
        if _cost(target, costs) >= _cost(without, costs):
            return None
        worse = company.worth(target.node.id) < company.worth(source.node.id)
        return None if worse else target

    def _company(self, app: App) -> tuple[Company, Mapping[str, float]]:
        text = app.spec.service_affinity or ""
        known = self._companies.get(text)
        if known is None:
            company = company_of(self._state, text, self._places)
            known = self._companies[text] = company, self._scoring.company_costs(company)
        return known

    def _keeps_spread(self, spread: _Spread, source: Room, target: Room) -> bool:
        here, there = self._zone(source, spread.label), self._zone(target, spread.label)
        if here != there and spread.by_zone[here] <= spread.by_zone[there]:
            return False
        return spread.by_node[source.node.id] > spread.by_node[target.node.id]

    # -- what may move, and where to

    def _may_move(self, app: App) -> bool:
        known = self._movable.get(app.name)
        if known is None:
            known = self._movable[app.name] = self._is_movable(app)
        return known

    def _is_movable(self, app: App) -> bool:
        """Only what is whole and healthy: nothing is moved that is being changed, healed, or must not run twice."""
        state, spec = self._state, app.spec
        if not spec.rebalance or spec.is_global or spec.keep_lost or app.name in state.changing_apps:
            return False
        if any(mount.name in self._local for mount in spec.volumes):
            return False
        tasks = self._wanted(app)
        return len(tasks) == spec.replicas and all(
            task.serving and not state.outdated(task) and not self._failed_lately(task) for task in tasks
        )

    def _failed_lately(self, task: Task) -> bool:
        move = self._state.moves.get(task.id)
        return move is not None and move.failed_at_s is not None and self._wall_s - move.failed_at_s < RETRY_AFTER_S

    def _wanted(self, app: App) -> list[Task]:
        ids = self._state.task_ids_by_app.get(app.name, _NONE)
        return [task for task in map(self._state.tasks.__getitem__, ids) if task.wanted]

    def _targets(self, app: App) -> list[Room]:
        """The nodes that would take one more of `app`, the best first but for how the app is spread."""
        demand = Demand.of(
            app.spec,
            self._local,
            architecture=app.architectures.get(app.revision, ""),
            taken_ports=self._taken_ports,
        )
        found = self._fitting.get(demand)
        if found is None:
            found = self._fitting[demand] = list(self._fits(demand))
            _, costs = self._company(app)
            if costs:
                found.sort(key=lambda room: (_cost(room, costs), room.standing))
        return found

    def _fits(self, demand: Demand) -> Iterator[Room]:
        try:
            filters = lasting_filters(demand, parse_affinity(demand.affinity))
        except ValueError:
            return
        cpu_millis = millis(demand.cpu)
        for room in self._settled:
            if intolerable(room.node.taints, demand.tolerations, ("PreferNoSchedule",)):
                continue
            roomy = (not cpu_millis or room.cpu_millis + cpu_millis <= room.cpu_millis_max) and (
                not demand.memory_bytes or room.memory_bytes + demand.memory_bytes <= room.memory_bytes_max
            )
            if roomy and all(rule.check(room) for rule in filters):
                yield room

    def _spread_of(self, app: App) -> _Spread:
        label = app.spec.spread or ""
        by_node = Counter(task.node_id for task in self._wanted(app) if task.node_id is not None)
        by_zone: Counter[str] = Counter()
        for node_id, count in by_node.items():
            node = self._state.nodes.get(node_id)
            if node is not None:
                by_zone[_zone_of(node, label)] += count
        return _Spread(label, by_node, by_zone)

    def _zone(self, room: Room, label: str) -> str:
        return _zone_of(room.node, label)

    def _youngest(self, app: App, node_id: str) -> Task:
        there: Sequence[Task] = [task for task in self._wanted(app) if task.node_id == node_id]
        return max(there, key=lambda task: (task.created_at_s, task.id))


def _cost(room: Room, company_costs: Mapping[str, float]) -> float:
    """As placing has it: the less the better."""
    return room.standing[0] + company_costs.get(room.node.id, 0.0)


def _zone_of(node: Node, label: str) -> str:
    return affinity_labels(node).get(label, "") if label else ""


def _booked_with(room: Room, app: App, replicas: int) -> float:
    """The share of the node that is booked with so many replicas of `app` more."""
    resources = app.spec.resources
    nominal = room.nominal_millis + replicas * (millis(resources.cpu) or NOMINAL_MILLIS)
    cpu = nominal / room.cpu_millis_max if room.cpu_millis_max else 0.0
    memory = room.memory_bytes + replicas * resources.memory_bytes
    return max(cpu, memory / room.memory_bytes_max if room.memory_bytes_max else 0.0)
