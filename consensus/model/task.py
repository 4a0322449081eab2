"""Tasks: one replica of an app, placed on a node. The API calls them containers.

One writer per field (SwarmKit, design/task_model.md): the leader writes `node_id`, `desired_state` and
`placement_message`; the node's agent writes `status`.
"""

from __future__ import annotations

import enum

from msgspec import Struct, field


class TaskState(enum.IntEnum):
    """How far a task has come. Ordered and spaced: within one run (`restart_count`) it never goes backwards."""

    PENDING = 0
    ASSIGNED = 10
    PREPARING = 20
    STARTING = 30
    RUNNING = 40
    STOPPING = 50
    STOPPED = 60
    COMPLETED = 70
    FAILED = 80
    LOST = 90

    @property
    def word(self) -> str:
        """The lowercase word of the API's `status`."""
        return self.name.lower()

    @property
    def terminal(self) -> bool:
        return self >= TaskState.STOPPED


class DesiredState(enum.IntEnum):
    """STOPPED: ended, but what it wrote is kept."""

    RUNNING = 0
    STOPPED = 5
    REMOVED = 10


class Health(enum.StrEnum):
    """What the probes say. A running task without a health check is healthy.

    `DEGRADED`: its last probe failed, not yet as often as makes it unhealthy. `FAILED`: it does not run, since it
    ended badly or could not start.
    """

    UNKNOWN = "unknown"
    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    FAILED = "failed"

    @property
    def serves(self) -> bool:
        """Whether requests may be sent to it."""
        return self in (Health.HEALTHY, Health.DEGRADED)


class TaskStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owning node's agent knows.

    Attributes:
        health: by the app's own health check.
        service_health: by the check of its service; None where that has none.
        ip6_address: its second one, where the overlay has IPv6.
        port_map: container port → port at `ip_address` on that node.
        image_architecture: of its image, where that cannot run on its node.
        final: it has ended, and by its restart policy is not started again.
    """

    state: TaskState = TaskState.PENDING
    restart_count: int = 0
    health: Health = Health.UNKNOWN
    service_health: Health | None = None
    message: str = ""
    engine_id: str | None = None
    image_id: str | None = None
    image_architecture: str = ""
    ip_address: str | None = None
    ip6_address: str | None = None
    port_map: dict[int, int] = field(default_factory=dict)
    exit_code: int | None = None
    started_at_s: float | None = None
    finished_at_s: float | None = None
    final: bool = False

    @property
    def worst_health(self) -> Health:
        """By its own check and its service's: what is worse."""
        own, service = self.health, self.service_health
        return own if service is None or not own.serves or service is Health.HEALTHY else service

    @property
    def serves(self) -> bool:
        """Whether requests may be sent to it."""
        return self.state is TaskState.RUNNING and self.worst_health.serves

    def follows(self, other: TaskStatus) -> bool:
        """Whether this status may replace `other`: a later run, or the same run not gone backwards."""
        return (self.restart_count, self.state) >= (other.restart_count, other.state)


AWAITS = "waits for "
"""How the `placement_message` begins of one that has, or may have, a place, but not yet."""


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`revision` is the log index at which its spec was stored: (app, revision) finds the spec.

    `serving_since_s` is when it last came to serve; None while it does not. `run` is the id of the run that it is an
    attempt of: such a task is started once, and stays where it ended until its run is forgotten. A replica has none.
    `bound_to`: the only node that it may run on.
    """

    id: str
    app: str
    slot: int
    revision: int
    generation: int
    created_at_s: float
    node_id: str | None = None
    desired_state: DesiredState = DesiredState.RUNNING
    placement_message: str = ""
    status: TaskStatus = TaskStatus()
    serving_since_s: float | None = None
    run: str = ""
    bound_to: str = ""

    @property
    def wanted(self) -> bool:
        return self.desired_state is DesiredState.RUNNING

    @property
    def lacks_place(self) -> bool:
        """Whether no node would take it, and nobody makes room."""
        return self.node_id is None and bool(self.placement_message) and not self.placement_message.startswith(AWAITS)

    @property
    def ended(self) -> bool:
        """Whether it is an attempt that is over: it needs nothing of its node any more but the disk."""
        return bool(self.run) and self.status.state.terminal

    @property
    def health(self) -> Health:
        """By all checks together."""
        return self.status.worst_health

    @property
    def serving(self) -> bool:
        """Whether requests may be sent to it."""
        return self.wanted and self.status.serves

    @property
    def failing(self) -> bool:
        """Whether it is a bad sign of its revision: unhealthy, could not start, or did not stay up."""
        status = self.status
        ended = status.state in (TaskState.FAILED, TaskState.COMPLETED)
        return ended or status.restart_count > 0 or self.health is Health.UNHEALTHY

    @property
    def name(self) -> str:
        return f"{self.app}-{self.slot}"
