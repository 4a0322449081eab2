"""This node's agent: makes the containers here what the replica says, and tells the cluster what became of them.

Nobody sends it work (design.md §2.5): it follows its own replica and its engine's events, and feeds both to one pure
machine for each task. At the start it adopts what runs, by label, at once; containers are made only when the replica
has caught up with a leader (or none was found for `offline_start_after_s`), and taken away only when it has.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio
from immutables import Map

from consensus.machine import Machine, Written
from consensus.model.node import NodeFacts
from consensus.model.service import Service, ServiceCheck
from consensus.model.task import Task
from consensus.proposer import Proposer
from consensus.state import State
from runtime import labels
from runtime.agent_config import AgentConfig
from runtime.backoff import Backoff
from runtime.engine.base import ContainerState, Engine, EngineEvent
from runtime.engine.errors import EngineError
from runtime.health.prober import Prober
from runtime.health.tracker import HealthReport
from runtime.network.overlay.attachment import Attach, default_network
from runtime.operations import Operations
from runtime.reporter import StatusReporter
from runtime.task_inputs import Desired, Gone, Permitted, Seen, Signalled
from runtime.task_table import TaskTable
from runtime.volumes.cleaner import VolumeCleaner
from runtime.volumes.provider import VolumeProvider

log = structlog.get_logger()

_FED_AT_ONCE = 100
"""Machines in one step of the loop, where all of a node's are fed: 10 µs each, where nothing is news."""


class Agent:
    """Runs this node's share of the cluster's tasks.

    Args:
        machine: this node's replica.
        proposer: where status reports go.
        caught_up: returns when the replica has, since the daemon's start, been level with a leader's log.
        now_s: the wall clock, for times that users see.
        attach: tells which network new containers are put on.
        facts: which images this machine runs; without them all are tried.

    Attributes:
        engine_problem: why the engine cannot be used just now, in its words; None while it can.
    """

    def __init__(
        self,
        *,
        node_id: str,
        cluster_id: str,
        machine: Machine,
        proposer: Proposer,
        engine: Engine,
        caught_up: Callable[[], Awaitable[None]],
        config: AgentConfig | None = None,
        now_s: Callable[[], float] = time.time,
        attach: Attach = default_network,
        facts: NodeFacts | None = None,
    ) -> None:
        self._config = config or AgentConfig()
        self._config.validate()
        self._node_id = node_id
        self._machine = machine
        self._engine = engine
        self._caught_up = caught_up
        self._own = labels.own_labels(cluster_id, node_id)
        self._prober = Prober(engine, now_s=now_s)
        self._reporter = StatusReporter(
            node_id,
            machine,
            proposer,
            batch_s=self._config.report_batch_s,
            progress_batch_s=self._config.progress_batch_s,
        )
        self.volumes = VolumeProvider(
            engine,
            cluster_id=cluster_id,
            node_id=node_id,
            find=lambda name: machine.state.volumes.get(name),
            mounts=self._mounts,
        )
        self._operations = Operations(
            engine,
            self._config,
            cluster_id=cluster_id,
            node_id=node_id,
            volumes=self.volumes,
            now_s=now_s,
            attach=attach,
            facts=facts,
        )
        self.volume_cleaner = VolumeCleaner(engine, cluster_id=cluster_id, node_id=node_id)
        self._tasks: TaskTable | None = None
        self._known: dict[str, Task] = {}
        self._changed: dict[str, None] | None = None
        self._services: Map[str, Service] = Map()
        self._service_checks: dict[str, ServiceCheck] = {}
        self._dismissed = False
        self.engine_problem: str | None = None

    def _mounts(self, task_id: str) -> list[str]:
        state = self._machine.state
        task = state.tasks.get(task_id)
        return [] if task is None else [mount.name for mount in state.spec_of(task).volumes]

    # -- what others ask

    def container(self, task_id: str) -> ContainerState | None:
        """The task's container on this node as last seen; None: there is none."""
        machine = None if self._tasks is None else self._tasks.get(task_id)
        return None if machine is None else machine.container

    def health(self, task_id: str) -> HealthReport | None:
        """The probes' results of a task of this node; None: it has never run here in this run of the daemon."""
        return self._prober.report(task_id)

    @property
    def container_count(self) -> int:
        """How many containers of ours run here."""
        if self._tasks is None:
            return 0
        return sum(1 for m in self._tasks if m.container is not None and m.container.status == "running")

    # -- running

    def dismiss(self) -> None:
        """This node is no member any more: all of its containers are stopped and removed."""
        self._dismissed, self._changed = True, None
        if self._tasks is not None:
            self._permit_all(self._tasks)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; containers keep running. Started once the engine was asked what runs already."""
        self._machine.on_write(self._note_written)
        try:
            async with trio.open_nursery() as nursery:
                tasks = self._tasks = TaskTable(nursery, self._operations, self._prober, self._reporter)
                self._known, self._changed = {}, None
                nursery.start_soon(self._reporter.run)
                self._reconcile(tasks)
                await nursery.start(self._follow_engine, tasks)
                nursery.start_soon(self._follow_replica, tasks)
                nursery.start_soon(self._permit, tasks)
                nursery.start_soon(self._resync, tasks)
                nursery.start_soon(self._clean_volumes)
                task_status.started()
        finally:
            self._machine.off_write(self._note_written)

    async def _follow_replica(self, tasks: TaskTable) -> None:
        while True:
            index = self._machine.watch.index
            self._reconcile(tasks)
            await self._machine.watch.changed(index)

    def _note_written(self, rows: Written | None) -> None:
        if rows is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update((key, None) for table, key in rows if table == "tasks")

    def _reconcile(self, tasks: TaskTable) -> None:
        """Tells each machine what the replica has for it, where that is news."""
        state = self._machine.state
        checks_changed = self._note_service_checks(state)
        changed, self._changed = self._changed, {}
        if changed is None or checks_changed:
            changed = dict.fromkeys((*self._known, *(task.id for task in state.tasks_on_node(self._node_id))))
        for task_id in changed:
            self._follow_task(tasks, state, task_id, anew=checks_changed)

    def _follow_task(self, tasks: TaskTable, state: State, task_id: str, *, anew: bool) -> None:
        known, found = self._known.get(task_id), state.tasks.get(task_id)
        if found is not None and found.node_id == self._node_id and not self._dismissed:
            if anew or found is not known:
                self._known[task_id] = found
                tasks.feed(task_id, Desired(found, state.spec_of(found), self._service_check_of(state, found)))
        elif known is not None:
            del self._known[task_id]
            if task_id in tasks:
                tasks.feed(task_id, Gone())

    def _note_service_checks(self, state: State) -> bool:
        """Whether they differ from those that the machines were told of."""
        if state.services is self._services:
            return False
        self._services, before = state.services, self._service_checks
        self._service_checks = {
            service.name: service.health_check
            for service in state.services.values()
            if service.health_check is not None
        }
        return self._service_checks != before

    def _service_check_of(self, state: State, task: Task) -> ServiceCheck | None:
        app = state.apps.get(task.app)
        return None if app is None else self._service_checks.get(app.service_name)

    async def _permit(self, tasks: TaskTable) -> None:
        with trio.move_on_after(self._config.offline_start_after_s):
            await self._caught_up()
            self._permit_all(tasks)
            return
        log.warning("starting_without_leader", after_s=self._config.offline_start_after_s)
        tasks.permit(Permitted(start=True, remove=False))
        await self._caught_up()
        self._permit_all(tasks)

    def _permit_all(self, tasks: TaskTable) -> None:
        # First what the replica says now, or what it had not heard of a moment ago would be taken away.
        self._reconcile(tasks)
        tasks.permit(Permitted(start=True, remove=True))

    # -- the engine

    async def _follow_engine(
        self, tasks: TaskTable, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        backoff = Backoff(first_s=self._config.engine_retry_first_s, last_s=self._config.engine_retry_last_s)
        first = True
        while True:
            try:
                async with self._engine.events(self._own) as events:
                    await self._list(tasks)
                    self._engine_answers()
                    backoff.reset()
                    if first:
                        first = False
                        task_status.started()
                    async for event in events:
                        _signal(tasks, event)
            except EngineError as error:
                self._engine_fails(error)
            if first:
                first = False
                task_status.started()
            await trio.sleep(backoff.next_s())

    async def _resync(self, tasks: TaskTable) -> None:
        while True:
            await trio.sleep(self._config.resync_s)
            seen = [machine.container for machine in tasks if machine.container is not None]
            try:
                await self._list(tasks, seen)
            except EngineError as error:
                log.info("resync_failed", reason=str(error))

    async def _list(self, tasks: TaskTable, seen: Sequence[ContainerState] = ()) -> None:
        before = {machine.task_id: machine.operations for machine in tasks if machine.idle}
        found = await self._engine.list(self._own, seen=seen)
        containers = {state.labels[labels.TASK]: state for state in found if labels.TASK in state.labels}
        self._reconcile(tasks)
        for number, machine in enumerate(tasks, 1):
            if number % _FED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            # What was worked on meanwhile knows better than a list that was begun before.
            if machine.idle and machine.operations == before.get(machine.task_id, 0):
                tasks.feed_known(machine, Seen(containers.get(machine.task_id)))
        for task_id, container in containers.items():
            if task_id not in tasks and task_id not in before:
                tasks.feed(task_id, Seen(container))
        tasks.listed()

    def _engine_answers(self) -> None:
        if self.engine_problem is not None:
            log.info("engine_answers_again")
        self.engine_problem = None

    def _engine_fails(self, error: EngineError) -> None:
        if self.engine_problem is None:
            log.warning("engine_unavailable", reason=str(error))
        self.engine_problem = str(error)

    async def _clean_volumes(self) -> None:
        await self._caught_up()
        index = self._machine.watch.index
        while True:
            volumes = self._machine.state.volumes
            pause_s = float("inf")
            try:
                if await self.volume_cleaner.clean(self._machine.state):
                    pause_s = self._config.resync_s
            except EngineError as error:
                log.info("volumes_not_cleaned", reason=str(error))
                pause_s = self._config.engine_retry_last_s
            with trio.move_on_after(pause_s):
                while self._machine.state.volumes is volumes:
                    index = await self._machine.watch.changed(index)


def _signal(tasks: TaskTable, event: EngineEvent) -> None:
    task_id = event.labels.get(labels.TASK)
    if task_id is not None and task_id in tasks:
        tasks.feed(task_id, Signalled(event.engine_id, event.action))
