"""The replicated state: immutable tables and their indexes.

A State never changes; applying an entry makes a new one that shares nearly everything with the old (hash array
mapped tries, `immutables.Map`). So a reader may keep one as long as it likes, and a snapshot is encoded in a
worker thread while the log goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map
from msgspec import Struct
from msgspec.structs import astuple, replace

from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.audit import AuditRecord
from consensus.model.backup import BackupSchedule
from consensus.model.cluster import Cluster
from consensus.model.deployment import Deployment, shares
from consensus.model.job import Job
from consensus.model.move import Move
from consensus.model.network import OverlayMode
from consensus.model.network_policy import NetworkPolicy
from consensus.model.node import Node, NodeStatus, RemovedNode
from consensus.model.origin import OnceRecord
from consensus.model.priority import BUILT_IN, DEFAULT, PriorityClass
from consensus.model.run import Run
from consensus.model.service import Service
from consensus.model.setting import Setting
from consensus.model.task import Task
from consensus.model.user import ApiKey, RevokedToken, User
from consensus.model.volume import Volume
from consensus.model.workload import intolerable

Keys = Map[str, None]
_NONE: Keys = Map()


class State(Struct, frozen=True, kw_only=True):
    """`specs` holds the spec of each app at each revision (log index) that a task, its history or a deployment has.

    `task_ids_by_node` are those that take room there; `ended_task_ids_by_node` the attempts that are over, of which
    only what they wrote is left. `changing_apps` are those with a deployment going on or a set on standby.
    """

    cluster: Cluster | None = None
    nodes: Map[str, Node] = Map()
    removed_nodes: Map[str, RemovedNode] = Map()
    apps: Map[str, App] = Map()
    specs: Map[tuple[str, int], AppSpec] = Map()
    tasks: Map[str, Task] = Map()
    services: Map[str, Service] = Map()
    volumes: Map[str, Volume] = Map()
    users: Map[str, User] = Map()
    api_keys: Map[str, ApiKey] = Map()
    revoked_tokens: Map[str, RevokedToken] = Map()
    roles: Map[str, OwnRole] = Map()
    groups: Map[str, Group] = Map()
    alerts: Map[str, Alert] = Map()
    audit: Map[int, AuditRecord] = Map()
    once: Map[str, OnceRecord] = Map()
    deployments: Map[str, Deployment] = Map()
    priority_classes: Map[str, PriorityClass] = Map()
    network_policies: Map[str, NetworkPolicy] = Map()
    settings: Map[str, Setting] = Map()
    jobs: Map[str, Job] = Map()
    runs: Map[str, Run] = Map()
    moves: Map[str, Move] = Map()
    backup_schedules: Map[str, BackupSchedule] = Map()

    task_ids_by_app: Map[str, Keys] = Map()
    task_ids_by_node: Map[str, Keys] = Map()
    ended_task_ids_by_node: Map[str, Keys] = Map()
    unplaced_task_ids: Keys = Map()
    app_by_host_port: Map[tuple[int, str], str] = Map()
    apps_by_service: Map[str, Keys] = Map()
    service_by_host_port: Map[tuple[int, str], str] = Map()
    service_by_address: Map[str, str] = Map()
    next_audit_number: int = 1
    changing_apps: Keys = Map()
    run_ids_by_owner: Map[str, Keys] = Map()

    @property
    def feature_level(self) -> int:
        """What all nodes can apply."""
        return 1 if self.cluster is None else self.cluster.feature_level

    def tasks_of_app(self, app: str) -> list[Task]:
        """All tasks of `app`, also those that are being removed, by slot and age."""
        tasks = [self.tasks[task_id] for task_id in self.task_ids_by_app.get(app, _NONE)]
        return sorted(tasks, key=lambda task: (task.slot, task.created_at_s, task.id))

    def tasks_on_node(self, node_id: str) -> Iterator[Task]:
        """The tasks placed on `node_id`, in no particular order, also attempts that are over."""
        for index in (self.task_ids_by_node, self.ended_task_ids_by_node):
            yield from (self.tasks[task_id] for task_id in index.get(node_id, _NONE))

    @property
    def workloads(self) -> frozenset[str]:
        """The names of all that may have tasks: apps, jobs, and whoever else has a run."""
        return frozenset((*self.apps, *self.jobs, *self.run_ids_by_owner))

    def runs_of(self, owner: str) -> list[Run]:
        """The oldest first."""
        runs = (self.runs[run_id] for run_id in self.run_ids_by_owner.get(owner, _NONE))
        return sorted(runs, key=lambda run: (run.number, run.created_at_s, run.id))

    def tasks_of_run(self, run: Run) -> list[Task]:
        """All attempts that are not forgotten, by slot and age."""
        return [task for task in self.tasks_of_app(run.owner) if task.run == run.id]

    def in_the_way_of(self, run: Run) -> list[Task]:
        """What is still at work of the owner's earlier runs, or of such that are forgotten."""
        earlier = (task for task in self.tasks_of_app(run.owner) if task.run != run.id and not task.ended)
        return [task for task in earlier if task.run not in self.runs or self.runs[task.run].number < run.number]

    def spec_of(self, task: Task) -> AppSpec:
        return self.specs[task.app, task.revision]

    def waits_for_node(self, task: Task) -> bool:
        """Whether it may still run on its node, that is lost, and must not run twice while its app, or its run, or
        runs that never stand beside another, go on."""
        node = None if task.node_id is None else self.nodes.get(task.node_id)
        if node is None or node.status is not NodeStatus.LOST:
            return False
        job = self.jobs.get(task.app)
        alone = job is not None and job.spec.concurrency_policy != "allow" and not task.ended
        return (task.app in self.apps or (bool(task.run) and (task.wanted or alone))) and self.spec_of(task).keep_lost

    def outdated(self, task: Task) -> bool:
        """Whether a new replica must take the place of `task`: made before a restart, of a revision that nobody
        wants, on a node that drains, that cannot run its image, where another program has a port that it publishes or
        that has a NoExecute taint that it does not tolerate, or being moved."""
        app = self.apps.get(task.app)
        if app is not None and (task.generation < app.generation or not self.is_live(app, task.revision)):
            return True
        if self.moves and self.moves_away(task.id):
            return True
        node = None if task.node_id is None else self.nodes.get(task.node_id)
        if node is None:
            return False
        if app is not None and app.architectures and not node.facts.runs(app.architectures.get(task.revision, "")):
            return True
        if node.taken_ports and not task.bound_to and self.spec_of(task).host_ports.intersection(node.taken_ports):
            return True
        if not (node.draining or node.taints):
            return False
        return node.draining or intolerable(node.taints, self.spec_of(task).tolerations, ("NoExecute",))

    def moves_away(self, task_id: str) -> bool:
        """Whether its replacement is on its way to another node."""
        move = self.moves.get(task_id)
        return move is not None and move.under_way

    def is_live(self, app: App, revision: int) -> bool:
        """Whether replicas of `revision` are wanted now."""
        if app.name not in self.changing_apps:
            return revision == app.revision
        if app.standby is not None and revision == app.standby.revision:
            return True
        return any(share.revision == revision for share in shares(app, self.deployment_of(app)))

    def filters_packets(self, node_id: str) -> bool:
        """Whether the node takes part in the overlay: there, network policies hold for all packets."""
        node = self.nodes.get(node_id)
        return node is not None and node.subnet is not None and node.facts.overlay is not OverlayMode.OFF

    def labels_of(self, task: Task) -> dict[str, str]:
        """By which selectors know it."""
        return {"app": task.app, **self.spec_of(task).labels}

    def deployment_of(self, app: App) -> Deployment | None:
        """The one that goes on now."""
        return self.deployments.get(app.rollout)

    def on_standby(self, task: Task) -> bool:
        """Whether it belongs to the set that gets no traffic."""
        app = self.apps.get(task.app)
        return app is not None and app.standby is not None and app.standby.revision == task.revision

    def takes_traffic(self, task: Task) -> bool:
        """Whether requests are sent to it: it is an endpoint of its service."""
        return self.serves(task) and not self.on_standby(task)

    def serves(self, task: Task) -> bool:
        """Whether it could take requests: of one on a node that is lost, only the last that was heard is known."""
        if not task.serving:
            return False
        node = None if task.node_id is None else self.nodes.get(task.node_id)
        return node is not None and node.holds_tasks

    def publisher_of(self, port: int, protocol: str) -> str | None:
        """The app that publishes it; while its deployment goes on, also where only its new or its old spec does."""
        if (owner := self.app_by_host_port.get((port, protocol))) is not None:
            return owner
        for name in sorted(self.changing_apps):
            deployment = self.deployment_of(self.apps[name])
            revisions = () if deployment is None else (deployment.old_revision, *deployment.new_revisions)
            if any((port, protocol) in self.specs[name, revision].published_ports for revision in revisions):
                return name
        return None

    def all_priority_classes(self) -> dict[str, PriorityClass]:
        """The ones that are built in, too."""
        return {**BUILT_IN, **self.priority_classes}

    def priority(self, spec: AppSpec) -> int:
        """How important its replicas are: greater goes first."""
        name = spec.priority_class or DEFAULT
        known = BUILT_IN.get(name) or self.priority_classes.get(name) or BUILT_IN[DEFAULT]
        return known.value

    def tasks_of_service(self, service: str) -> Iterator[Task]:
        for app in sorted(self.apps_by_service.get(service, _NONE)):
            yield from self.tasks_of_app(app)

    def volume_users(self, volume: str) -> list[Task]:
        """The tasks whose spec mounts `volume`."""
        specs = {key for key, spec in self.specs.items() if any(mount.name == volume for mount in spec.volumes)}
        return [
            task
            for app in sorted({app for app, _ in specs})
            for task in self.tasks_of_app(app)
            if (task.app, task.revision) in specs
        ]


def with_indexes(state: State) -> State:
    """`state` with its indexes made anew from its tables."""
    by_app: dict[str, dict[str, None]] = {}
    by_node: dict[str, dict[str, None]] = {}
    ended_by_node: dict[str, dict[str, None]] = {}
    unplaced: dict[str, None] = {}
    for task in state.tasks.values():
        by_app.setdefault(task.app, {})[task.id] = None
        if task.node_id is None:
            unplaced[task.id] = None
        else:
            (ended_by_node if task.ended else by_node).setdefault(task.node_id, {})[task.id] = None
    runs: dict[str, dict[str, None]] = {}
    for run in state.runs.values():
        runs.setdefault(run.owner, {})[run.id] = None
    ports = {
        (port.host_port, port.protocol): app.name
        for app in state.apps.values()
        for port in app.spec.ports
        if port.host_port is not None
    }
    by_service: dict[str, dict[str, None]] = {}
    for app in state.apps.values():
        by_service.setdefault(app.service_name, {})[app.name] = None
    services = state.services.values()
    return replace(
        state,
        task_ids_by_app=Map((app, Map(ids)) for app, ids in by_app.items()),
        task_ids_by_node=Map((node, Map(ids)) for node, ids in by_node.items()),
        ended_task_ids_by_node=Map((node, Map(ids)) for node, ids in ended_by_node.items()),
        unplaced_task_ids=Map(unplaced),
        run_ids_by_owner=Map((owner, Map(ids)) for owner, ids in runs.items()),
        app_by_host_port=Map(ports),
        apps_by_service=Map((service, Map(apps)) for service, apps in by_service.items()),
        service_by_host_port=Map((key, service.name) for service in services for key in service.host_ports),
        service_by_address=Map((service.virtual_ip, service.name) for service in services if service.virtual_ip),
        next_audit_number=max(state.audit, default=0) + 1,
        changing_apps=Map((app.name, None) for app in state.apps.values() if app.rollout or app.standby),
    )


_ROWS_PER_PIECE = 100
"""About 0.3 ms for large rows."""


def freed_in_pieces(holder: list[State]) -> Iterator[None]:
    """Frees the state in `holder`, which must be its last owner, some rows at each step.

    Otherwise the last owner frees all of it at once: 0.1 s for 10,000 apps, in which nothing else can run.
    """
    tables = [table for table in astuple(holder.pop()) if isinstance(table, Map)]
    while tables:
        table = tables.pop()
        rows: list[object] = list(table.values())
        yield
        del table
        yield
        while rows:
            del rows[-_ROWS_PER_PIECE:]
            yield
