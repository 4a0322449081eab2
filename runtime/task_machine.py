"""One task on this node: what is to be done next, from what the cluster wants and what the engine shows. Pure.

Level-triggered: every input updates what is known, then one rule decides the next step from that alone, so that a
lost or repeated event does no harm. At most one operation is outstanding. Statuses never go backwards within a run;
what would go backwards is a new run (`restart_count`), so `TaskStatus.follows` always holds.
"""

from __future__ import annotations

from typing import Any, assert_never

from msgspec.structs import replace

from consensus.model.app_spec import AppSpec
from consensus.model.task import DesiredState, Health, Task, TaskState, TaskStatus
from runtime.backoff import Backoff
from runtime.engine.base import ContainerState
from runtime.task_effects import (
    Cancel,
    Create,
    Effect,
    EnsureImage,
    Forget,
    Inspect,
    Operation,
    Remove,
    Report,
    ReportRemoved,
    RetryAt,
    Start,
    StartProbes,
    Stop,
    StopProbes,
)
from runtime.task_inputs import (
    Cancelled,
    Desired,
    Due,
    Failed,
    Gone,
    Input,
    Permitted,
    Probed,
    Progressed,
    Seen,
    Signalled,
    Succeeded,
)

RESTART_FIRST_S = 0.1
"""As Docker's restart policy: 100 ms, doubled each time …"""
RESTART_LAST_S = 60.0
"""… up to a minute, and anew after a run of `STEADY_AFTER_S`."""
STEADY_AFTER_S = 10.0

_ALIVE = ("running", "paused", "restarting")


class TaskMachine:
    """`handle` is the one door; `status` is the newest status, `container` the engine's last word."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.status = TaskStatus()
        self.container: ContainerState | None = None
        self.operations = 0
        self._told = self.status
        self._task: Task | None = None
        self._spec: AppSpec | None = None
        self._permitted = Permitted(start=False, remove=False)
        self._listed = False
        self._stale = False
        self._image_ready = False
        self._operation: Operation | None = None
        self._cancelling = False
        self._probing: tuple[int, str] | None = None
        self._removed_reported = False
        self._backoff = Backoff(first_s=RESTART_FIRST_S, last_s=RESTART_LAST_S)
        self._retry_at_s = 0.0
        self._drain_until_s: float | None = None
        self._effects: list[Effect] = []

    @property
    def idle(self) -> bool:
        """Whether no operation is outstanding, so that a listing tells of the present."""
        return self._operation is None

    @property
    def wanted(self) -> bool:
        return self._task is not None and self._task.wanted

    @property
    def _may_start(self) -> bool:
        """Without a leader (start, but not remove) one that must not run twice waits: it may have been moved."""
        once = self._once or (self._spec is not None and self._spec.keep_lost)
        return self._permitted.start and (self._permitted.remove or not once)

    @property
    def _once(self) -> bool:
        """Whether it is an attempt of a run: whatever ends it, it is not started again."""
        return self._task is not None and bool(self._task.run)

    def handle(self, item: Input, now_s: float) -> list[Effect]:
        """Takes one input at `now_s` (any steady clock); what the driver must do, in order."""
        self._effects = []
        self._take(item, now_s)
        self._advance(now_s)
        if self.status != self._told and self._task is not None and self._permitted.start:
            self._told = self.status
            self._effects.append(Report(self.status))
        return self._effects

    # -- what is known

    def _take(self, item: Input, now_s: float) -> None:
        match item:
            case Desired(task, spec):
                self._desire(task, spec)
            case Gone():
                if self.wanted:
                    self._retry_at_s = now_s
                self._task = None
            case Permitted():
                self._permitted = item
            case Seen(container):
                if self._operation is None:
                    self.container, self._listed, self._stale = container, True, False
            case Signalled():
                self._signalled(item)
            case Succeeded() if self._ends(item.number):
                self._succeeded(item)
            case Failed() if self._ends(item.number):
                self._failed(item, now_s)
            case Cancelled() if self._ends(item.number):
                self._operation = None
            case Progressed(number, message) if self._ends(number) and self.status.state is TaskState.PREPARING:
                self._update(message=message)
            case Probed(restart_count, health) if restart_count == self.status.restart_count:
                if self.status.state is TaskState.RUNNING:
                    self._update(health=health)
            case Succeeded() | Failed() | Cancelled() | Progressed() | Probed() | Due():
                pass
            case _:
                assert_never(item)

    def _ends(self, number: int) -> bool:
        return self._operation is not None and self._operation.number == number

    def _desire(self, task: Task, spec: AppSpec) -> None:
        # The last word of an earlier run of the daemon is where we start from, and the engine says what became of it
        # since. It may come late: until the replica has caught up it replays old words, and a report that was under
        # way when the daemon ended is applied after it has started again.
        if self._task is None or not self._permitted.start or not self.status.follows(task.status):
            self.status = self._told = task.status
        if self._task is not None and self._task.desired_state is not task.desired_state:
            self._retry_at_s = 0.0
        self._task, self._spec = task, spec

    def _signalled(self, event: Signalled) -> None:
        known = self.container
        if known is None or known.engine_id != event.engine_id or isinstance(self._operation, Stop | Remove):
            return
        if event.action == "destroy" and self._operation is None:
            self.container = None
        elif event.action == "start":
            # Ours, or after an end that was told before: no news of what is known to run.
            self._stale = self._stale or (self._operation is None and known.status not in _ALIVE)
        elif event.action in ("die", "destroy", "pause", "unpause"):
            self._stale = True

    def _succeeded(self, item: Succeeded) -> None:
        operation, self._operation = self._operation, None
        if isinstance(operation, EnsureImage):
            self._image_ready = True
            self._update(image_id=item.image_id)
        elif isinstance(operation, Stop) and self.container is not None:
            self.container = replace(self.container, status="exited")
        else:
            self.container = item.container

    def _failed(self, item: Failed, now_s: float) -> None:
        operation, self._operation = self._operation, None
        if item.container_gone:
            self.container = None
            if isinstance(operation, Inspect | Stop | Remove):
                return
        if isinstance(operation, Inspect):
            self._stale = True
        if isinstance(operation, Create):
            self._image_ready = False
        if not item.engine_down and self.wanted and isinstance(operation, EnsureImage | Create | Start):
            self._end_run(TaskState.FAILED, item.message)
        else:
            self._update(message=item.message)
        self._pause(now_s)

    def _pause(self, now_s: float) -> float:
        pause_s = self._backoff.next_s()
        self._retry_at_s = now_s + pause_s
        self._effects.append(RetryAt(self._retry_at_s))
        return pause_s

    # -- what to do

    def _advance(self, now_s: float) -> None:
        if self._operation is not None:
            if isinstance(self._operation, EnsureImage) and not self.wanted and not self._cancelling:
                self._cancelling = True
                self._effects.append(Cancel(self._operation.number))
        elif self._listed:
            if self._stale and self.container is not None:
                if now_s >= self._retry_at_s:
                    self._stale = False
                    self._begin(Inspect(self._number(), self.container.engine_id))
            elif self.wanted:
                self._advance_wanted(now_s)
            else:
                self._advance_unwanted(now_s)

    def _advance_wanted(self, now_s: float) -> None:
        container, state = self.container, self.status.state
        if self._once and state.terminal:
            return
        if container is not None and container.status in _ALIVE:
            self._running(container)
        elif state is TaskState.RUNNING or (_ended(container) and (state is TaskState.STARTING or self._once)):
            self._died(container, now_s)
        elif self._may_start and now_s >= self._retry_at_s:
            self._bring_up(container)

    def _bring_up(self, container: ContainerState | None) -> None:
        assert self._task is not None
        assert self._spec is not None
        if container is None and not self._image_ready:
            # After a failed pull it stays failed, with the reason, until the image is here.
            if self.status.state < TaskState.PREPARING:
                self._enter(TaskState.PREPARING)
            self._begin(EnsureImage(self._number(), self._spec.image))
            return
        self._enter(TaskState.STARTING)
        if container is None:
            self._begin(Create(self._number(), self._task, self._spec))
        elif container.status == "dead":
            self._begin(Remove(self._number(), container.engine_id))
        else:
            self._update(engine_id=container.engine_id)
            self._begin(Start(self._number(), container.engine_id))

    def _running(self, container: ContainerState) -> None:
        assert self._spec is not None
        status = self.status
        other_start = status.started_at_s is not None and status.started_at_s != container.started_at_s
        if status.state is not TaskState.RUNNING or other_start:
            if status.state is TaskState.RUNNING:
                self._update(restart_count=status.restart_count + 1)
            self._enter(TaskState.RUNNING)
            check = self._spec.health_check
            self._update(
                health=Health.HEALTHY if check is None else Health.STARTING,
                exit_code=None,
                finished_at_s=None,
                started_at_s=container.started_at_s,
            )
        self._update(
            message="",
            engine_id=container.engine_id,
            ip_address=container.address,
            port_map=dict(container.port_map),
        )
        run = (self.status.restart_count, container.engine_id)
        if self._probing != run:
            self._probing = run
            self._effects.append(StartProbes(*run, self._spec.health_check, self.status.health))

    def _died(self, container: ContainerState | None, now_s: float) -> None:
        if container is None:
            self._end_run(TaskState.FAILED, "its container was removed outside of hivemind")
        else:
            completed = container.exit_code == 0 and not container.error
            self._end_run(TaskState.COMPLETED if completed else TaskState.FAILED, _epitaph(container))
            self._update(exit_code=container.exit_code, finished_at_s=container.finished_at_s)
            if _ran_s(container) >= STEADY_AFTER_S:
                self._backoff.reset()
        self._pause(now_s)

    def _advance_unwanted(self, now_s: float) -> None:
        if not self._permitted.remove:
            return
        container = self.container
        stays = self._task is not None and self._task.desired_state is DesiredState.STOPPED
        if stays and (container is None or container.status not in _ALIVE):
            self._stop_probes()
            self._wind_down(TaskState.STOPPED)
        elif container is None:
            if self._task is None:
                self._stop_probes()
                self._effects.append(Forget())
            elif not self._removed_reported:
                self._stop_probes()
                self._removed_reported = True
                self._effects.append(ReportRemoved())
        elif now_s >= self._retry_at_s and (container.status not in _ALIVE or self._drained(now_s)):
            self._stop_probes()
            if container.status in _ALIVE:
                self._wind_down(TaskState.STOPPING)
                grace_s = None if self._spec is None else self._spec.stop_grace_period_s
                self._begin(Stop(self._number(), container.engine_id, grace_s))
            else:
                self._wind_down(TaskState.STOPPED)
                self._begin(Remove(self._number(), container.engine_id))

    def _drained(self, now_s: float) -> bool:
        """Whether it has run on for its drain timeout since it left the endpoints.

        No node sends it a new request once it has heard of that; those under way need their time.
        """
        if self._drain_until_s is None:
            serves = self.status.state is TaskState.RUNNING and self.status.health is Health.HEALTHY
            drain_s = self._spec.drain_timeout_s if serves and self._spec is not None and self._task is not None else 0
            self._drain_until_s = now_s + drain_s
            if drain_s:
                self._effects.append(RetryAt(self._drain_until_s))
        return now_s >= self._drain_until_s

    # -- small steps

    def _number(self) -> int:
        self.operations += 1
        return self.operations

    def _begin(self, operation: Operation) -> None:
        self._operation, self._cancelling = operation, False
        self._effects.append(operation)

    def _update(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)

    def _enter(self, state: TaskState) -> None:
        if state < self.status.state:
            self._update(restart_count=self.status.restart_count + 1, exit_code=None, finished_at_s=None)
        self._update(state=state)

    def _wind_down(self, state: TaskState) -> None:
        if self.status.state < state:
            self._update(state=state, health=Health.UNKNOWN, message="")

    def _end_run(self, state: TaskState, message: str) -> None:
        self._stop_probes()
        # An end that follows an end (a pull that failed again) is no new run.
        state = max(state, self.status.state)
        self._update(state=state, message=message, health=Health.UNKNOWN, ip_address=None, port_map={})

    def _stop_probes(self) -> None:
        if self._probing is not None:
            self._probing = None
            self._effects.append(StopProbes())


def _ended(container: ContainerState | None) -> bool:
    return container is not None and container.status in ("exited", "dead")


def _ran_s(container: ContainerState) -> float:
    if container.started_at_s is None or container.finished_at_s is None:
        return 0.0
    return container.finished_at_s - container.started_at_s


def _epitaph(container: ContainerState) -> str:
    if container.oom_killed:
        return "killed: it ran out of memory"
    if container.error:
        return container.error
    return "" if container.exit_code is None else f"exited with code {container.exit_code}"
