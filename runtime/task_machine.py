"""One task on this node: what is to be done next, from what the cluster wants and what the engine shows. Pure.

Level-triggered: every input updates what is known, then one rule decides the next step from that alone, so that a
lost or repeated event does no harm. At most one operation is outstanding. Statuses never go backwards within a run;
what would go backwards is a new run (`restart_count`), so `TaskStatus.follows` always holds.
"""

from __future__ import annotations

from typing import Any, assert_never

from msgspec.structs import replace

from consensus.model.app_spec import AppSpec
from consensus.model.restart import RestartPolicy
from consensus.model.service import ServiceCheck
from consensus.model.task import DesiredState, Health, Task, TaskState, TaskStatus
from runtime.backoff import Backoff
from runtime.container_end import ended, epitaph, ran_s
from runtime.engine.base import ContainerState
from runtime.restarts import Restarts
from runtime.task_effects import (
    Cancel,
    Create,
    Effect,
    EnsureImage,
    Forget,
    Inspect,
    NoteEnd,
    Operation,
    Remove,
    Report,
    ReportRemoved,
    RetryAt,
    Start,
    Stop,
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
from runtime.task_probes import TaskProbes, first_health

RETRY_FIRST_S = 0.1
"""The pause after an operation that failed, doubled each time …"""
RETRY_LAST_S = 60.0
"""… up to a minute."""

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
        self._service_check: ServiceCheck | None = None
        self._restarts: Restarts | None = None
        self._permitted = Permitted(start=False, remove=False)
        self._listed = False
        self._stale = False
        self._image_ready = False
        self._operation: Operation | None = None
        self._cancelling = False
        self._probes = TaskProbes()
        self._complaints: dict[bool, str] = {}
        self._removed_reported = False
        self._backoff = Backoff(first_s=RETRY_FIRST_S, last_s=RETRY_LAST_S)
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
            case Desired():
                self._desire(item)
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
            case Probed() if item.restart_count == self.status.restart_count:
                if self.status.state is TaskState.RUNNING:
                    self._probed(item)
            case Succeeded() | Failed() | Cancelled() | Progressed() | Probed() | Due():
                pass
            case _:
                assert_never(item)

    def _ends(self, number: int) -> bool:
        return self._operation is not None and self._operation.number == number

    def _desire(self, desired: Desired) -> None:
        task = desired.task
        # The last word of an earlier run of the daemon is where we start from, and the engine says what became of it
        # since. It may come late: until the replica has caught up it replays old words, and a report that was under
        # way when the daemon ended is applied after it has started again.
        if self._task is None or not self._permitted.start or not self.status.follows(task.status):
            self.status = self._told = task.status
        if self._task is not None and self._task.desired_state is not task.desired_state:
            self._retry_at_s = 0.0
        self._task, self._spec, self._service_check = task, desired.spec, desired.service_check
        if self._restarts is None:
            self._restarts = Restarts(RestartPolicy(policy="no") if self._once else desired.spec.restart)

    def _probed(self, verdict: Probed) -> None:
        self._complaints[verdict.of_service] = verdict.message
        self._update(**{"service_health" if verdict.of_service else "health": verdict.health})

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
            self._update(image_id=item.image_id, image_architecture="")
        elif isinstance(operation, Stop) and self.container is not None:
            self.container = replace(self.container, status="exited")
            # Of one that is started again the exit code is of interest.
            self._stale = self.wanted
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
        self._image_ready = self._image_ready and not isinstance(operation, Create)
        if item.not_now or not self.wanted or not isinstance(operation, EnsureImage | Create | Start):
            self._update(message=item.message)
            self._pause(now_s)
            return
        self._end_run(TaskState.FAILED, item.message)
        self._update(image_architecture=item.image_architecture)
        if isinstance(operation, EnsureImage):
            # No run: the image may come, whatever is said of restarts.
            self._pause(now_s)
        else:
            self._rest(now_s, failed=True)

    def _pause(self, now_s: float) -> None:
        self._wait(now_s + self._backoff.next_s())

    def _wait(self, until_s: float) -> None:
        self._retry_at_s = until_s
        self._effects.append(RetryAt(until_s))

    def _rest(self, now_s: float, *, failed: bool, ran_s: float = 0.0) -> None:
        """After the end of a run: until the next, or for good."""
        assert self._restarts is not None
        why = self._restarts.why_final(failed=failed, restart_count=self.status.restart_count, now_s=now_s)
        if why is None:
            self._wait(now_s + self._restarts.pause_s(ran_s=ran_s, now_s=now_s))
        else:
            self._update(final=True, message="; ".join(words for words in (self.status.message, why) if words))

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
            if self._may_start and self._sick and now_s >= self._retry_at_s:
                self._begin(Stop(self._number(), container.engine_id, self._grace_s))
        elif state is TaskState.RUNNING or (ended(container) and (state is TaskState.STARTING or self._once)):
            self._died(container, now_s)
        elif self._may_start and now_s >= self._retry_at_s and not self.status.final:
            self._bring_up(container)

    @property
    def _sick(self) -> bool:
        """Whether it must be stopped, so that it is started again."""
        return self.status.health is Health.UNHEALTHY and self._restarts is not None and self._restarts.heals()

    @property
    def _grace_s(self) -> float | None:
        return None if self._spec is None else self._spec.stop_grace_period_s

    def _bring_up(self, container: ContainerState | None) -> None:
        assert self._task is not None
        assert self._spec is not None
        if container is None and not self._image_ready:
            # After a failed pull it stays failed, with the reason, until the image is here.
            if self.status.state < TaskState.PREPARING:
                self._enter(TaskState.PREPARING)
            self._begin(EnsureImage(self._number(), self._spec.pinned_image))
            return
        self._enter(TaskState.STARTING)
        if container is None:
            self._begin(Create(self._number(), self._task, self._spec))
        elif container.status == "dead":
            self._begin(Remove(self._number(), container.engine_id))
        else:
            self._update(engine_id=container.engine_id)
            self._begin(Start(self._number(), container.engine_id, self._spec.volumes))

    def _running(self, container: ContainerState) -> None:
        assert self._spec is not None
        status = self.status
        other_start = status.started_at_s is not None and status.started_at_s != container.started_at_s
        if status.state is not TaskState.RUNNING or other_start:
            if status.state is TaskState.RUNNING:
                self._update(restart_count=status.restart_count + 1)
            self._enter(TaskState.RUNNING)
            self._complaints.clear()
            self._update(
                health=first_health(self._spec),
                service_health=None if self._service_check is None else Health.STARTING,
                exit_code=None,
                finished_at_s=None,
                started_at_s=container.started_at_s,
            )
        elif (self._service_check is None) is not (status.service_health is None):
            # It runs already, and serves until its service's new check says otherwise.
            self._update(service_health=None if self._service_check is None else Health.HEALTHY)
        complaint = self._complaints.get(False) or self._complaints.get(True, "")
        self._update(message=complaint, engine_id=container.engine_id)
        self._update(ip_address=container.address, ip6_address=container.address6, port_map=dict(container.port_map))
        self._effects += self._probes.follow(container, self._spec, self._service_check, self.status)

    def _died(self, container: ContainerState | None, now_s: float) -> None:
        if container is None:
            self._end_run(TaskState.FAILED, "its container was removed outside of hivemind")
            self._rest(now_s, failed=True)
            return
        sick = self._sick
        failed = sick or container.exit_code != 0 or bool(container.error)
        message = f"unhealthy: {self.status.message}" if sick else epitaph(container)
        self._end_run(TaskState.FAILED if failed else TaskState.COMPLETED, message)
        # It may have ended before anybody saw it run.
        started_at_s = container.started_at_s or self.status.started_at_s
        self._update(exit_code=container.exit_code, started_at_s=started_at_s, finished_at_s=container.finished_at_s)
        self._rest(now_s, failed=failed, ran_s=0.0 if sick else ran_s(container))

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
                self._begin(Stop(self._number(), container.engine_id, self._grace_s))
            else:
                self._wind_down(TaskState.STOPPED)
                self._begin(Remove(self._number(), container.engine_id))

    def _drained(self, now_s: float) -> bool:
        """Whether it has run on for its drain timeout since it left the endpoints.

        No node sends it a new request once it has heard of that; those under way need their time.
        """
        if self._drain_until_s is None:
            told = self.status.serves and self._spec is not None and self._task is not None
            drain_s = self._spec.drain_timeout_s if told and self._spec is not None else 0
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
            count = self.status.restart_count + 1
            self._update(restart_count=count, exit_code=None, finished_at_s=None, final=False)
        self._update(state=state)

    def _wind_down(self, state: TaskState) -> None:
        if self.status.state < state:
            self._update(state=state, health=Health.UNKNOWN, service_health=None, message="")

    def _end_run(self, state: TaskState, message: str) -> None:
        self._stop_probes()
        # An end that follows an end (a pull that failed again) is no new run.
        state = max(state, self.status.state)
        health = Health.FAILED if state is TaskState.FAILED else Health.UNKNOWN
        self._update(state=state, message=message, health=health, service_health=None)
        self._update(ip_address=None, ip6_address=None, port_map={})
        if health is Health.FAILED:
            self._effects.append(NoteEnd(message))

    def _stop_probes(self) -> None:
        self._effects += self._probes.stop()
