"""What a task machine is told. Values only."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.service import ServiceCheck
from consensus.model.task import Health, Task
from runtime.engine.base import ContainerState


class Desired(Struct, frozen=True):
    """The replica has the task on this node, wanted or to be removed. `service_check`: by which its service probes."""

    task: Task
    spec: AppSpec
    service_check: ServiceCheck | None = None


class Gone(Struct, frozen=True):
    """The replica has no such task on this node (any more)."""


class Permitted(Struct, frozen=True):
    """What the agent may do now (design.md §2.5): make containers run, take containers away."""

    start: bool
    remove: bool


class Seen(Struct, frozen=True):
    """The task's container as the engine listed it; None: there is none."""

    container: ContainerState | None


class Signalled(Struct, frozen=True):
    """An event of the engine about the task's container."""

    engine_id: str
    action: str


class Succeeded(Struct, frozen=True):
    """The outstanding operation ended well.

    `container` is its state after Create, Start and Inspect; `image_id` comes with EnsureImage.
    """

    number: int
    container: ContainerState | None = None
    image_id: str | None = None


class Failed(Struct, frozen=True):
    """The outstanding operation failed, in the engine's words.

    `not_now`: the engine did not answer, or a volume is being restored, which says nothing of the task.
    `container_gone`: there is no such container (any more). `image_architecture`: that of the image, which cannot be
    run here.
    """

    number: int
    message: str
    not_now: bool = False
    container_gone: bool = False
    image_architecture: str = ""


class Cancelled(Struct, frozen=True):
    """The outstanding operation was given up as asked."""

    number: int


class Progressed(Struct, frozen=True):
    """How far the outstanding pull has come."""

    number: int
    message: str


class Probed(Struct, frozen=True):
    """The probes' verdict changed for run `restart_count`; `message` are the words of the probe that failed."""

    restart_count: int
    health: Health
    message: str = ""
    of_service: bool = False


class Due(Struct, frozen=True):
    """Time has passed, as a RetryAt asked."""


Input = Desired | Gone | Permitted | Seen | Signalled | Succeeded | Failed | Cancelled | Progressed | Probed | Due
