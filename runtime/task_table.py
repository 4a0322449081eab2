"""The task machines of this node, and the performing of what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import structlog
import trio

from consensus.model.task import Health, TaskState
from runtime.health.prober import Prober
from runtime.operations import Operations
from runtime.reporter import StatusReporter
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
    StartProbes,
    Stop,
    StopProbes,
    StopServiceProbes,
)
from runtime.task_inputs import Cancelled, Due, Input, Permitted, Probed, Seen
from runtime.task_machine import TaskMachine

log = structlog.get_logger()


class TaskTable:
    """One machine for each task that this node has, or has a container of.

    Work runs in `nursery`. The machines' clock is trio's.
    """

    def __init__(self, nursery: trio.Nursery, operations: Operations, prober: Prober, reporter: StatusReporter) -> None:
        self._nursery = nursery
        self._operations = operations
        self._prober = prober
        self._reporter = reporter
        self._machines: dict[str, TaskMachine] = {}
        self._scopes: dict[tuple[str, int], trio.CancelScope] = {}
        self._permitted = Permitted(start=False, remove=False)
        self._listed = False

    def __iter__(self) -> Iterator[TaskMachine]:
        return iter(list(self._machines.values()))

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._machines

    def get(self, task_id: str) -> TaskMachine | None:
        return self._machines.get(task_id)

    def feed(self, task_id: str, item: Input) -> None:
        """Give a task's machine an input and do what it asks for; a task that is not here gets one."""
        machine = self._machines.get(task_id)
        if machine is None:
            machine = self._machines[task_id] = TaskMachine(task_id)
            self._feed(machine, self._permitted)
            self._feed(machine, item)
            if self._listed and not isinstance(item, Seen):
                # The first listing had no container of it, and none was made since.
                self._feed(machine, Seen(None))
        else:
            self._feed(machine, item)

    def feed_known(self, machine: TaskMachine, item: Input) -> None:
        """Feeds a machine that was here a moment ago; one that has gone since is not made again."""
        if self._machines.get(machine.task_id) is machine:
            self._feed(machine, item)

    def permit(self, permitted: Permitted) -> None:
        self._permitted = permitted
        for machine in self:
            self._feed(machine, permitted)

    def listed(self) -> None:
        """From now on a task without a known container has none."""
        self._listed = True

    def _feed(self, machine: TaskMachine, item: Input) -> None:
        before = machine.status
        for effect in machine.handle(item, trio.current_time()):
            self._perform(machine, effect)
        if machine.status.state is TaskState.FAILED and machine.status != before:
            log.warning("task_failed", task=machine.task_id, reason=machine.status.message)

    def _perform(self, machine: TaskMachine, effect: Effect) -> None:
        task_id = machine.task_id
        match effect:
            case EnsureImage() | Create() | Start() | Inspect() | Stop() | Remove():
                scope = self._scopes[task_id, effect.number] = trio.CancelScope()
                self._nursery.start_soon(self._operate, machine, effect, scope)
            case Cancel(number):
                self._scopes[task_id, number].cancel()
            case RetryAt(at_s):
                self._nursery.start_soon(self._wake_at, machine, at_s)
            case StartProbes():
                self._start_probes(machine, effect)
            case StopProbes():
                self._prober.stop(task_id)
            case StopServiceProbes():
                self._prober.stop_service(task_id)
            case NoteEnd(message):
                self._prober.note(task_id, Health.FAILED, message)
            case Report(status):
                self._reporter.put(task_id, status)
            case ReportRemoved():
                self._reporter.put_removed(task_id)
            case Forget():
                # A late timer may make a machine say so again, when the id has a new one already.
                if self._machines.get(task_id) is machine:
                    del self._machines[task_id]
                    self._prober.forget(task_id)
                    self._reporter.drop(task_id)
            case _:
                assert_never(effect)

    def _start_probes(self, machine: TaskMachine, effect: StartProbes) -> None:
        run, plan, of_service = effect.restart_count, effect.plan, effect.of_service
        if plan is None:
            self._prober.note(machine.task_id, effect.health, "running; no health check is set")
            return
        self._prober.start(
            self._nursery,
            machine.task_id,
            plan,
            of_service=of_service,
            health=effect.health,
            changed=lambda health, words: self._feed(machine, Probed(run, health, words, of_service)),
        )

    async def _operate(self, machine: TaskMachine, operation: Operation, scope: trio.CancelScope) -> None:
        answer: Input = Cancelled(operation.number)
        with scope:
            answer = await self._operations.perform(operation, lambda progress: self._feed(machine, progress))
        del self._scopes[machine.task_id, operation.number]
        self._feed(machine, answer)

    async def _wake_at(self, machine: TaskMachine, at_s: float) -> None:
        await trio.sleep_until(at_s)
        self._feed(machine, Due())
