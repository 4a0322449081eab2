"""A cluster that is not there: real state machine and orchestrator; nodes, agents and gossip are played.

Runs under MockClock: trio's deadlines are the heap of events. No threads: sizes stay under THREAD_FROM_SIZE.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import trio
from msgspec.structs import replace

from consensus.commands import AddNode, AnyCommand, ReportTasks, StartNode, TaskReport
from consensus.machine import Machine
from consensus.model.node import NodeStatus
from consensus.model.task import DesiredState, Health, Task, TaskState, TaskStatus
from consensus.outcomes import AnyOutcome
from consensus.proposer import LocalProposer
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Deps
from hivemind.orchestrator.loop import Orchestrator
from hivemind.orchestrator.members import MemberState, MemberView
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from hivemind.peer.errors import PeerUnreachable
from runtime.engine.base import CpuTime
from tests.consensus.making import facts
from tests.sim.cpu_load import CpuLoad

WALL_START_S = 1_700_000_000.0


class Gossip:
    """A MemberSource that is told what to say."""

    def __init__(self) -> None:
        self._views: dict[str, MemberView] = {}
        self._changed = trio.Event()

    def views(self) -> Mapping[str, MemberView]:
        return dict(self._views)

    def surroundings(self) -> Surroundings:
        return Surroundings()

    async def changed(self) -> None:
        await self._changed.wait()

    def say(self, view: MemberView) -> None:
        self._views[view.node_id] = view
        self._changed.set()
        self._changed = trio.Event()


class Leadership:
    """A RaftView whose leadership can be taken and given back."""

    def __init__(self) -> None:
        self.term = 1
        self.voters: tuple[str, ...] = ("n0",)
        self.changes: list[str] = []
        self._deposed = trio.Event()

    async def leads(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.term

    async def deposed(self, term: int) -> None:
        while self.term == term:
            await self._deposed.wait()

    def new_term(self) -> None:
        self.term += 1
        self._deposed.set()
        self._deposed = trio.Event()

    async def read_barrier(self, *, timeout_s: float) -> int:
        await trio.sleep(0.01)
        return 0

    async def wait_applied(self, index: int) -> None:
        await trio.lowlevel.checkpoint()

    def caught_up(self, node_id: str) -> bool:
        return True

    async def transfer_leadership(self, heir: str, *, timeout_s: float) -> None:
        await trio.lowlevel.checkpoint()
        self.changes.append(f">{heir}")

    async def add_voter(self, node_id: str, *, timeout_s: float) -> None:
        await trio.sleep(0.05)
        self.voters = (*self.voters, node_id)
        self.changes.append(f"+{node_id}")

    async def remove_voter(self, node_id: str, *, timeout_s: float) -> None:
        await trio.sleep(0.05)
        self.voters = tuple(voter for voter in self.voters if voter != node_id)
        self.changes.append(f"-{node_id}")


class Machinery:
    """One node: its daemon, and the containers that outlive the daemon but not the power."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.id = f"n{number}"
        self.facts = facts(number)
        self.boots = 0
        self.containers: dict[str, TaskStatus] = {}
        self.up = False
        self._resumed = trio.Event()
        self._resumed.set()
        self._daemon: trio.CancelScope | None = None
        self._busy: set[str] = set()

    @property
    def boot_id(self) -> str:
        return f"{self.id}-{self.boots}"

    @property
    def paused(self) -> bool:
        return not self._resumed.is_set()

    @property
    def answers(self) -> bool:
        return self.up and not self.paused

    def _gossip(self, state: MemberState, *, restarting: bool = False) -> None:
        self.world.gossip.say(MemberView(self.id, state, self.boot_id, restarting))

    async def start(self) -> None:
        self.boots += 1
        self.up = True
        self._resumed.set()
        await self.world.propose(StartNode(self.id, boot_id=self.boot_id, facts=self.facts))
        self.world.nursery.start_soon(self._run)
        await self._heard()

    async def _heard(self) -> None:
        await trio.sleep(self.world.rng.uniform(0, 0.5))
        if self.answers:
            self._gossip(MemberState.ALIVE)

    def stop(self, *, power: bool) -> None:
        """The daemon dies; with `power` the containers die too."""
        self.up = False
        if self._daemon is not None:
            self._daemon.cancel()
        if power:
            self.containers.clear()
        self.world.nursery.start_soon(self._missed, self.boots)

    def restart(self) -> None:
        """SIGTERM: announced, then stopped."""
        self._gossip(MemberState.ALIVE, restarting=True)
        self.up = False
        if self._daemon is not None:
            self._daemon.cancel()

    def pause(self) -> None:
        self._resumed = trio.Event()
        self.world.nursery.start_soon(self._missed, self.boots)

    async def resume(self) -> None:
        self._resumed.set()
        self.world.changed()
        await self._heard()

    async def _missed(self, boots: int) -> None:
        for state, after_s in ((MemberState.SUSPECT, 1.0), (MemberState.DEAD, 3.0)):
            await trio.sleep(self.world.rng.uniform(0.5, 1.5) * after_s)
            if self.boots == boots and not self.answers:
                self._gossip(state)

    async def _run(self) -> None:
        self._busy.clear()
        with trio.CancelScope() as self._daemon:
            async with trio.open_nursery() as nursery:
                while True:
                    seen = self.world.version
                    if not self.paused:
                        await self._work(nursery)
                    await self.world.newer_than(seen)

    async def _work(self, nursery: trio.Nursery) -> None:
        state = self.world.machine.state
        share = {task.id: task for task in state.tasks_on_node(self.id)}
        for task in share.values():
            if task.wanted and not task.ended and task.id not in self.containers and task.id not in self._busy:
                if task.run and task.status.state is TaskState.RUNNING:
                    # It went down with the machine, and is not begun again.
                    self.containers[task.id] = replace(task.status, state=TaskState.FAILED, health=Health.UNKNOWN)
                else:
                    nursery.start_soon(self._start, task.id)
            never_began = task.desired_state is DesiredState.STOPPED and not task.ended
            if never_began and task.id not in self.containers and task.id not in self._busy:
                self.containers[task.id] = replace(task.status, state=TaskState.STOPPED)
        for task_id in list(self.containers):
            if self._is_to_stop(share.get(task_id), self.containers[task_id]) and task_id not in self._busy:
                nursery.start_soon(self._stop, task_id)
        reports = [
            TaskReport(task_id, status)
            for task_id, status in self.containers.items()
            if task_id in share and share[task_id].status != status and status.follows(share[task_id].status)
        ]
        removed = [
            task.id
            for task in share.values()
            if task.desired_state is DesiredState.REMOVED
            and task.id not in self.containers
            and task.id not in self._busy
        ]
        if (reports or removed) and state.nodes[self.id].status not in (NodeStatus.LOST, NodeStatus.LEFT):
            await self.world.propose(ReportTasks(self.id, reports, removed))

    def _is_to_stop(self, task: Task | None, status: TaskStatus) -> bool:
        if task is None or task.desired_state is DesiredState.REMOVED:
            return True
        return task.desired_state is DesiredState.STOPPED and not status.state.terminal

    async def _start(self, task_id: str) -> None:
        self._busy.add(task_id)
        await trio.sleep(self.world.rng.uniform(0.1, 2.0))
        await self._resumed.wait()
        self._busy.discard(task_id)
        task = self.world.machine.state.tasks.get(task_id)
        if task is not None and task.wanted and task.node_id == self.id:
            self.containers[task_id] = self.world.first_status(task)
            if task.run:
                self.world.begun(task)
                self.world.nursery.start_soon(self._end, task_id)
        self.world.changed()

    async def _end(self, task_id: str) -> None:
        """An attempt does its work, badly now and then; a paused machine does none."""
        await trio.sleep(self.world.rng.uniform(0.5, 5))
        await self._resumed.wait()
        status = self.containers.get(task_id)
        if status is not None and status.state is TaskState.RUNNING:
            state = TaskState.FAILED if self.world.rng.random() < 0.2 else TaskState.COMPLETED
            self.containers[task_id] = replace(status, state=state, health=Health.UNKNOWN)
        self.world.changed()

    async def _stop(self, task_id: str) -> None:
        self._busy.add(task_id)
        await trio.sleep(self.world.rng.uniform(0.1, 1.0))
        await self._resumed.wait()
        self._busy.discard(task_id)
        task, status = self.world.machine.state.tasks.get(task_id), self.containers.get(task_id)
        if task is None or task.node_id != self.id or task.desired_state is DesiredState.REMOVED:
            self.containers.pop(task_id, None)
        elif status is not None and not status.state.terminal:
            self.containers[task_id] = replace(status, state=TaskState.STOPPED, health=Health.UNKNOWN)
        self.world.changed()


class World:
    """The cluster; `open` starts it, `nursery` runs it."""

    def __init__(self, rng: random.Random, nursery: trio.Nursery, *, nodes: int) -> None:
        self.rng = rng
        self.nursery = nursery
        self.machine = Machine()
        self.gossip = Gossip()
        self.raft = Leadership()
        self.commands: list[AnyCommand] = []
        self.pings: list[str] = []
        self.version = 0
        self.moved: set[str] = set()
        self.bad_images: dict[str, TaskStatus] = {}
        self.doubled: list[str] = []
        self.load = CpuLoad()
        self._news = trio.Event()
        self._proposer = LocalProposer(self.machine, now_s=self.wall_s)
        self.nodes = {f"n{i}": Machinery(self, i) for i in range(nodes)}
        self.machine.on_answer(lambda *_: self._answered())

    def begun(self, task: Task) -> None:
        """An attempt began: notes where another of the same part of its run is at work, as far as is known here."""
        others = (one for one in self.machine.state.tasks_of_app(task.app) if one.run == task.run)
        at_work = [one.id for one in others if one.slot == task.slot and not one.ended and one.id != task.id]
        self.doubled += [f"{task.id} began beside {other}" for other in at_work]

    def first_status(self, task: Task) -> TaskStatus:
        """What becomes of a task's container: it runs, unless its image is a bad one."""
        engine_id = f"e-{task.id}"
        bad = self.bad_images.get(self.machine.state.spec_of(task).image)
        if bad is not None:
            return replace(bad, engine_id=engine_id)
        return TaskStatus(state=TaskState.RUNNING, health=Health.HEALTHY, engine_id=engine_id)

    def wall_s(self) -> float:
        return WALL_START_S + trio.current_time()

    async def propose(self, command: AnyCommand) -> AnyOutcome:
        return (await self._proposer.propose(command)).outcome

    def _answered(self) -> None:
        self.moved.update(self.machine.state.moves)
        self.changed()

    def changed(self) -> None:
        self.version += 1
        self._news.set()
        self._news = trio.Event()

    async def newer_than(self, version: int) -> None:
        while self.version <= version:
            await self._news.wait()

    async def _ping(self, node_id: str) -> None:
        self.pings.append(node_id)
        await trio.sleep(self.rng.uniform(0.001, 0.02))
        if not self.nodes[node_id].answers:
            raise PeerUnreachable(node_id, "nobody there")

    async def _cpu_times(self, node_id: str, task_ids: Sequence[str]) -> dict[str, CpuTime]:
        await trio.sleep(self.rng.uniform(0.001, 0.02))
        node = self.nodes[node_id]
        there = [task_id for task_id in task_ids if node.answers and task_id in node.containers]
        return self.load.read(self.machine.state, there, trio.current_time())

    async def open(self, config: OrchestratorConfig | None = None) -> None:
        for node in self.nodes.values():
            await self.propose(AddNode(node.id, node.facts))
            await node.start()
        deps = Deps(
            self_id="n0",
            machine=self.machine,
            proposer=self._proposer,
            raft=self.raft,
            members=self.gossip,
            ping=self._ping,
            cpu_times=self._cpu_times,
            wall_s=self.wall_s,
        )
        await self.nursery.start(Orchestrator(deps, config).run)

    def problems(self) -> list[str]:
        """Where what is differs from what is wanted; empty when all is as it should be."""
        state, found = self.machine.state, []
        real = {(node.id, task_id) for node in self.nodes.values() for task_id in node.containers}
        kept = {(task.node_id, task.id) for task in state.tasks.values() if task.ended}
        wanted = {(task.node_id, task.id) for task in state.tasks.values() if task.wanted and not task.ended}
        found += [f"{task_id} runs on {node_id}, unwanted" for node_id, task_id in sorted(real - wanted - kept)]
        found += [f"{task_id} does not run on {node_id}" for node_id, task_id in sorted(wanted - real, key=str)]
        for app in state.apps.values():
            tasks = state.tasks_of_app(app.name)
            slots = [task.slot for task in tasks if task.wanted]
            if app.rollout or app.standby:
                found.append(f"{app.name} is being changed by {app.rollout or app.standby}")
            if len(slots) != app.spec.replicas or len(set(slots)) != len(slots):
                found.append(f"{app.name} has slots {slots}, wants {app.spec.replicas}")
            found += [f"{task.id} is outdated" for task in tasks if task.wanted and state.outdated(task)]
            found += [f"{task.id} does not serve" for task in tasks if task.wanted and not task.serving]
        found += [f"{move.task_id} is being moved to {move.node_id}" for move in state.moves.values() if move.under_way]
        found += self.doubled
        found += [f"{run.id} goes on" for run in state.runs.values() if not run.status.finished]
        found += self._misplaced()
        # That a rollout failed stays to be seen until the next one has succeeded.
        alerts = [alert for alert in state.alerts.values() if not alert.id.startswith("rollout-failed.")]
        found += [f"alert: {alert.message}" for alert in alerts]
        found += [f"{node.id} is {node.status}" for node in state.nodes.values() if node.status is not NodeStatus.READY]
        return found

    def _misplaced(self) -> list[str]:
        """Global apps that have not one replica on each node."""
        state, found = self.machine.state, []
        nodes = sorted(node.id for node in state.nodes.values() if node.schedulable)
        for app in state.apps.values():
            where = sorted(str(task.node_id) for task in state.tasks_of_app(app.name) if task.wanted)
            if app.spec.is_global and where != nodes:
                found.append(f"{app.name} is on {where}, wants {nodes}")
        return found

    def overfull(self) -> list[str]:
        """Nodes of which more is requested than they may promise."""
        state, found = self.machine.state, []
        for node in state.nodes.values():
            specs = [state.spec_of(task) for task in state.tasks_on_node(node.id) if not task.ended]
            cpu = sum(spec.resources.cpu for spec in specs)
            memory = sum(spec.resources.memory_bytes for spec in specs)
            if cpu > node.facts.cpu_cores * 1.5 + 1e-6 or memory > node.facts.memory_bytes * 1.2:
                found.append(f"{node.id}: {cpu} cores, {memory} bytes")
        return found

    async def containers_reach(self, count: int) -> None:
        """Returns as soon as that many containers run."""
        while sum(len(node.containers) for node in self.nodes.values()) < count:
            await self.newer_than(self.version)

    async def even_out(self, timeout_s: float = 600.0) -> None:
        """Waits until nothing has been moved for so long that every node counts and every look was taken."""
        deadline_s = trio.current_time() + timeout_s
        while True:
            moved = len(self.moved)
            await trio.sleep(60)
            if len(self.moved) == moved:
                return
            assert trio.current_time() < deadline_s, "moving does not come to an end"

    async def settle(self, timeout_s: float = 400.0) -> None:
        """Waits until there are no problems, and for some seconds none come back."""
        deadline_s = trio.current_time() + timeout_s
        quiet_since_s = trio.current_time()
        while trio.current_time() < quiet_since_s + 5:
            if problems := self.problems():
                assert trio.current_time() < deadline_s, (problems, self.machine.state.alerts)
                quiet_since_s = trio.current_time()
            await trio.sleep(0.5)
