"""A cluster's agreed state without a cluster: one machine, and commands applied to it at once."""

from __future__ import annotations

import trio

from consensus.commands import AddNode, AnyCommand, DeployApp, Placement, PlaceTasks, StartNode
from consensus.errors import Unavailable
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.model.node import NodeFacts
from consensus.model.task import Task, TaskState
from consensus.outcomes import Deployed, Refusal
from consensus.proposer import Committed, LocalProposer
from runtime.agent import Agent
from runtime.agent_config import AgentConfig
from tests.runtime.fake_engine import FakeEngine

NODE = "n1"
CLUSTER = "cluster-1"
FACTS = NodeFacts(address="127.0.0.1", api_port=1, peer_port=2, architecture="x86_64")


class LocalCluster:
    """`proposed` is every command of an agent; with `unavailable` its proposals fail."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.proposed: list[AnyCommand] = []
        self.unavailable = False
        self._proposer = LocalProposer(self.machine, now_s=trio.current_time)
        self.caught_up_now = trio.Event()
        self.caught_up_now.set()

    async def propose(self, command: AnyCommand, *, timeout_s: float = 10.0) -> Committed:
        """The Proposer's face for the agent."""
        if self.unavailable:
            await trio.sleep(1.0)
            raise Unavailable("no leader")
        self.proposed.append(command)
        return await self._proposer.propose(command)

    async def caught_up(self) -> None:
        await self.caught_up_now.wait()

    async def do(self, command: AnyCommand) -> object:
        committed = await self._proposer.propose(command)
        assert not isinstance(committed.outcome, Refusal), committed.outcome
        return committed.outcome

    def learn_from(self, other: LocalCluster) -> None:
        """Installs a snapshot of `other`; command numbers go on where it was."""
        self.machine.restore(other.machine.freeze()())
        self._proposer = LocalProposer(self.machine, now_s=trio.current_time)
        self._proposer._number = other._proposer._number

    async def add_node(self, node_id: str = NODE) -> None:
        await self.do(AddNode(node_id=node_id, facts=FACTS))
        await self.do(StartNode(node_id=node_id, boot_id="b1", facts=FACTS))

    async def deploy(self, spec: AppSpec, node_id: str = NODE) -> list[str]:
        """Deploys `spec` with all its tasks on one node; their ids."""
        outcome = await self.do(DeployApp(spec=spec))
        assert isinstance(outcome, Deployed)
        await self.do(PlaceTasks(placements=[Placement(task_id, node_id) for task_id in outcome.task_ids]))
        return outcome.task_ids

    def task(self, task_id: str) -> Task:
        return self.machine.state.tasks[task_id]

    def in_state(self, state: TaskState) -> list[Task]:
        return [task for task in self.machine.state.tasks.values() if task.status.state is state]

    def agent(self, engine: FakeEngine, config: AgentConfig | None = None, node_id: str = NODE) -> Agent:
        return Agent(
            node_id=node_id,
            cluster_id=CLUSTER,
            machine=self.machine,
            proposer=self,
            engine=engine,
            caught_up=self.caught_up,
            config=config,
            now_s=trio.current_time,
            facts=FACTS,
        )
