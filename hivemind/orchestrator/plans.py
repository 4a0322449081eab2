"""Which reconciler is due on which part of the state, so that a round costs what has changed and not the cluster.

Pure bookkeeping for one term: the driver asks it stage by stage, and applies in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from immutables import Map
from msgspec import Struct

from consensus.commands import AnyCommand
from consensus.model.node import HostPort, Node, Taint
from consensus.state import State
from hivemind.orchestrator import (
    alerts,
    conditions,
    dependencies,
    features,
    global_apps,
    jobs,
    liveness,
    lost,
    placement,
    rebalancing,
    replicas,
    rolling,
    rollout,
    runs,
)
from hivemind.orchestrator.agenda import Agenda
from hivemind.orchestrator.autoscaling import Autoscaling
from hivemind.orchestrator.backups import BackupWatch
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.evenness_watch import EvennessWatch
from hivemind.orchestrator.observer import Observer
from hivemind.orchestrator.scheduler.capacity import ReservedCache
from hivemind.orchestrator.scheduler.surroundings import Surroundings

INF = float("inf")


class Job(Struct, frozen=True):
    """A plan to make. `size` is about how many nodes and tasks it looks at; `make` touches frozen values only."""

    name: str
    size: int
    make: Callable[[], Sequence[AnyCommand]]


class Plans:
    """What is due. Starts with everything, since a new leader does not know what the last one left undone.

    Attributes:
        autoscaling: what was measured of the apps that are scaled by their use.
    """

    def __init__(
        self,
        observer: Observer,
        config: OrchestratorConfig,
        surroundings: Callable[[], Surroundings],
        state: State,
    ) -> None:
        self._surroundings = surroundings
        self._observer = observer
        self._config = config
        self._cache = ReservedCache()
        self._nodes: Map[str, Node] = Map()
        self._due: set[str] = set()
        self._agenda = Agenda()
        self.autoscaling = Autoscaling()
        self._evenness = EvennessWatch()
        self._backups_due = BackupWatch()
        self._rollouts_due_at_s = INF
        self._alerts_refreshed_s = -INF
        self._placed_on: tuple[object, ...] | None = None
        self._waiting: dict[tuple[str, int], str] = {}
        self.everything(state)

    def touched(self, apps: Set[str]) -> None:
        """Something of these apps was written."""
        self._due |= apps
        self._evenness.touched(apps)
        self.autoscaling.touched(apps)

    def everything(self, state: State) -> None:
        """Nothing is known to be in order, as after a proposal whose outcome is unknown."""
        self._due = {*state.workloads, *state.task_ids_by_app}
        self._evenness.touched(state.apps.keys())
        self.autoscaling.touched(state.apps.keys())
        self._placed_on = None

    def stages(self) -> list[Callable[[State, float, float], Job | None]]:
        """In order; each is to be asked with the State that the commands of those before it made."""
        return [
            self._liveness,
            self._features,
            self._alerts,
            self._lost,
            self._global_apps,
            self._autoscaling,
            self._rollouts,
            self._jobs,
            self._runs,
            self._backups,
            self._conditions,
            self._replicas,
            self._rolling,
            self._placement,
            self._rebalancing,
        ]

    def _features(self, state: State, now_s: float, wall_s: float) -> Job:
        return Job("features", 0, lambda: features.plan(state))

    def _liveness(self, state: State, now_s: float, wall_s: float) -> Job:
        evidence = self._observer.evidence(now_s)
        return Job("liveness", 0, lambda: liveness.plan(state, evidence, self._config))

    def _alerts(self, state: State, now_s: float, wall_s: float) -> Job:
        evidence = self._observer.evidence(now_s)
        return Job("alerts", 0, lambda: alerts.plan(state, evidence, self._config, wall_s))

    def _lost(self, state: State, now_s: float, wall_s: float) -> Job:
        return Job("lost", 0, lambda: lost.plan(state, wall_s))

    def _global_apps(self, state: State, now_s: float, wall_s: float) -> Job | None:
        self._note_nodes(state)
        names = frozenset(name for name in self._due if _is_global(state, name))
        size = len(state.nodes) * len(names)
        return Job("global apps", size, lambda: global_apps.plan(state, names)) if names else None

    def _autoscaling(self, state: State, now_s: float, wall_s: float) -> Job | None:
        found = self.autoscaling.apps(state)
        return Job("autoscaling", 0, lambda: self.autoscaling.plan(state, now_s)) if found else None

    def _rollouts(self, state: State, now_s: float, wall_s: float) -> Job | None:
        self._rollouts_due_at_s = INF
        return Job("rollouts", 0, lambda: self._judge_rollouts(state, wall_s)) if state.changing_apps else None

    def _judge_rollouts(self, state: State, wall_s: float) -> Sequence[AnyCommand]:
        # What is written after this is news, and they are judged anew.
        commands, self._rollouts_due_at_s = rollout.judge(state, wall_s)
        return commands

    def _conditions(self, state: State, now_s: float, wall_s: float) -> Job:
        apps = frozenset(self._due)
        refresh = now_s >= self._alerts_refreshed_s + conditions.REFRESH_S
        if refresh:
            self._alerts_refreshed_s = now_s
        return Job("conditions", _size(state, apps), lambda: conditions.plan(state, apps, wall_s, refresh=refresh))

    def _jobs(self, state: State, now_s: float, wall_s: float) -> Job | None:
        self._due.update(self._agenda.due(wall_s))
        names = frozenset(name for name in self._due if name in state.jobs)
        return Job("jobs", 0, lambda: jobs.plan(state, names, wall_s)) if names else None

    def _runs(self, state: State, now_s: float, wall_s: float) -> Job | None:
        owners = frozenset(name for name in self._due if name in state.run_ids_by_owner)
        for name in self._due:
            job = state.jobs.get(name)
            self._agenda.note(name, min(runs.due_s(state, name), INF if job is None else jobs.due_s(job)))
        return Job("runs", 0, lambda: runs.plan(state, owners, wall_s)) if owners else None

    @property
    def due_at_s(self) -> float:
        """When time alone makes something due next, in Unix seconds."""
        return min(self._agenda.next_s, self._backups_due.due_at_s, self._rollouts_due_at_s)

    def _backups(self, state: State, now_s: float, wall_s: float) -> Job:
        return Job("backups", 0, lambda: self._backups_due.plan(state, wall_s))

    def _replicas(self, state: State, now_s: float, wall_s: float) -> Job | None:
        apps = frozenset(self._due)
        return Job("replicas", _size(state, apps), lambda: replicas.plan(state, apps)) if apps else None

    def _rolling(self, state: State, now_s: float, wall_s: float) -> Job | None:
        # What the commands of this round write comes due again by `touched`.
        apps, self._due = frozenset(self._due), set()
        return Job("rolling", _size(state, apps), lambda: rolling.plan(state, apps)) if apps else None

    def _note_nodes(self, state: State) -> None:
        if state.nodes is self._nodes:
            return
        for node_id, node in state.nodes.items():
            before = self._nodes.get(node_id)
            if before is not node and _repels(node) != (_repels(before) if before is not None else (False, [], ())):
                self._due |= {task.app for task in state.tasks_on_node(node_id)}
        self._due |= {name for name in state.apps if _is_global(state, name)}
        self._nodes = state.nodes

    def _placement(self, state: State, now_s: float, wall_s: float) -> Job | None:
        basis = placement.basis(state)
        same = self._placed_on is not None and all(a is b for a, b in zip(basis, self._placed_on, strict=True))
        self._placed_on = basis
        # Whether it may start changes with what an app depends on, wherever that is.
        before, self._waiting = self._waiting, dependencies.waiting(state)
        same = same and before == self._waiting
        if same or not state.unplaced_task_ids:
            return None
        surroundings = self._surroundings()
        size = len(state.unplaced_task_ids) + len(state.nodes) + self._cache.uncounted(state)
        return Job("placement", size, lambda: placement.plan(state, surroundings, self._cache))

    def _rebalancing(self, state: State, now_s: float, wall_s: float) -> Job | None:
        apps = self._evenness.look(state, now_s, wall_s)
        if apps is None:
            return None
        size, surroundings = len(state.nodes) + _size(state, apps), self._surroundings()
        return Job("rebalancing", size, lambda: rebalancing.plan(state, apps, surroundings, self._cache, wall_s))

    def deadlines_s(self, state: State, now_s: float, wall_s: float) -> list[float]:
        """The instants at which time alone makes a plan due."""
        return self._evenness.deadlines_s(state, now_s, wall_s)


def _is_global(state: State, name: str) -> bool:
    app = state.apps.get(name)
    return app is not None and app.spec.is_global


def _repels(node: Node) -> tuple[bool, list[Taint], tuple[HostPort, ...]]:
    """What may make tasks leave a node."""
    return node.draining, node.taints, node.taken_ports


def _size(state: State, apps: Set[str]) -> int:
    return sum(len(state.task_ids_by_app.get(app, ())) for app in apps)
