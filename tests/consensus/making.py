"""Values for tests of what the cluster agrees: nodes, specs, and a machine that is fed command by command."""

from __future__ import annotations

from typing import Any

from consensus.commands import AddNode, AnyCommand, ReportTasks, StartNode, TaskReport
from consensus.entry import CommandId, Entry, encode
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.model.cluster import Cluster
from consensus.model.node import NodeFacts
from consensus.model.task import Health, Task, TaskState, TaskStatus
from consensus.model.user import Role, User
from consensus.model.workload import Resources
from consensus.outcomes import AnyOutcome, Refusal
from consensus.state import State

CLUSTER = Cluster(
    id="c1",
    epoch="e1",
    created_at_s=1.0,
    ca_certificate_pem=b"pem",
    ca_key_sealed=b"key",
    token_key_sealed=b"token",
    join_secret_hash="hash",
    join_secret_sealed=b"secret",
)
ADMIN = User(id="u1", username="admin", password_hash="argon", role=Role.ADMIN, created_at_s=1.0)


def facts(number: int = 1, *, cpu: float = 4.0, memory_gib: float = 8.0, **labels: str) -> NodeFacts:
    return NodeFacts(
        address=f"10.0.{number // 250}.{number % 250 + 1}",
        api_port=4483,
        peer_port=7946,
        cpu_cores=cpu,
        memory_bytes=int(memory_gib * (1 << 30)),
        architecture="x86_64",
        labels=labels,
    )


def spec(name: str = "web", replicas: int = 1, *, cpu: float = 0.0, memory: str | int = 0, **more: Any) -> AppSpec:
    return AppSpec(name=name, image="busybox", replicas=replicas, resources=Resources(cpu=cpu, memory=memory), **more)


def running(restart_count: int = 0, health: Health = Health.HEALTHY) -> TaskStatus:
    return TaskStatus(state=TaskState.RUNNING, health=health, engine_id="e", restart_count=restart_count)


class Feed:
    """A machine that gets its entries one after the other, each a second after the last."""

    def __init__(self, machine: Machine | None = None, *, session: str = "test") -> None:
        self.machine = machine or Machine()
        self.session = session
        self.number = 0
        self.entries: list[bytes] = []

    @property
    def state(self) -> State:
        return self.machine.state

    def __call__(self, command: AnyCommand, *, time_s: float | None = None) -> AnyOutcome:
        """`time_s`: the proposer's clock, where it is not as all others are."""
        self.number += 1
        time_s = 1000.0 + self.machine.index if time_s is None else time_s
        pieces = encode(Entry(id=CommandId(self.session, self.number), time_s=time_s, command=command))
        outcome: Any = None
        for piece in pieces:
            self.entries.append(piece)
            outcome = self.machine.apply(self.machine.index + 1, piece)
        assert self.machine.fault is None, self.machine.fault
        return outcome

    def accepted(self, *commands: AnyCommand) -> AnyOutcome:
        """Applies all; none may be refused. Returns the last outcome."""
        outcome: Any = None
        for command in commands:
            outcome = self(command)
            assert not isinstance(outcome, Refusal), (command, outcome)
        return outcome

    def add_nodes(self, count: int, **of_facts: Any) -> list[str]:
        """Ready nodes n1, n2, …"""
        names = [f"n{i}" for i in range(1, count + 1)]
        for i, name in enumerate(names, 1):
            about = facts(i, **of_facts)
            self.accepted(AddNode(name, about), StartNode(name, boot_id=f"{name}-1", facts=about))
        return names

    def tasks(self, app: str = "web") -> list[Task]:
        return self.state.tasks_of_app(app)

    def report(self, status: TaskStatus, *task_ids: str) -> AnyOutcome:
        """What the agents of these placed tasks' nodes say."""
        outcome: Any = None
        for task_id in task_ids:
            node_id = self.state.tasks[task_id].node_id
            assert node_id is not None, f"{task_id} is not placed"
            outcome = self(ReportTasks(node_id, [TaskReport(task_id, status)]))
        return outcome
