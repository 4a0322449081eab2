"""What a task machine asks for. Operations are numbered, and at most one is outstanding for a task."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.task import Health, Task, TaskStatus
from consensus.model.workload import VolumeMount
from runtime.health.plan import ProbePlan


class EnsureImage(Struct, frozen=True):
    number: int
    image: str


class Create(Struct, frozen=True):
    """Make the container (and its volumes) without starting it."""

    number: int
    task: Task
    spec: AppSpec


class Start(Struct, frozen=True):
    """`volumes`: what its container mounts."""

    number: int
    engine_id: str
    volumes: list[VolumeMount] = []


class Inspect(Struct, frozen=True):
    number: int
    engine_id: str


class Stop(Struct, frozen=True):
    """Signal, wait `grace_s` (None: as the container was made), kill."""

    number: int
    engine_id: str
    grace_s: float | None


class Remove(Struct, frozen=True):
    number: int
    engine_id: str


class Cancel(Struct, frozen=True):
    """Give operation `number` up and say so with Cancelled."""

    number: int


class RetryAt(Struct, frozen=True):
    """Feed Due at `at_s` of the agent's clock. Never cancelled; a stale one changes nothing."""

    at_s: float


class StartProbes(Struct, frozen=True):
    """Probe run `restart_count`, of which `health` is known so far; without a plan just note that it runs."""

    restart_count: int
    plan: ProbePlan | None
    health: Health
    of_service: bool = False


class StopProbes(Struct, frozen=True):
    """All of the task's."""


class StopServiceProbes(Struct, frozen=True):
    """Those of its service's check only."""


class NoteEnd(Struct, frozen=True):
    """A run ended badly, or did not begin: for the history of its health."""

    message: str


class Report(Struct, frozen=True):
    status: TaskStatus


class ReportRemoved(Struct, frozen=True):
    """Nothing of the task is left here, and the replica still has it."""


class Forget(Struct, frozen=True):
    """Nothing of the task is left anywhere: the machine is done."""


Operation = EnsureImage | Create | Start | Inspect | Stop | Remove
Effect = (
    Operation
    | Cancel
    | RetryAt
    | StartProbes
    | StopProbes
    | StopServiceProbes
    | NoteEnd
    | Report
    | ReportRemoved
    | Forget
)
