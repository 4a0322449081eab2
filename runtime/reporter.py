"""Status changes on their way into the log: in batches, the newest of each task only, until they are accepted."""

from __future__ import annotations

import math

import structlog
import trio

from consensus.commands import ReportTasks, TaskReport
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.task import TaskState, TaskStatus
from consensus.outcomes import Refusal
from consensus.proposer import Proposer

log = structlog.get_logger()

MAX_BATCH = 100
"""Applying a report takes every node 75 µs and makes up to four events: so many hold its loop for 8 ms."""
_RETRY_S = 1.0
_UNDER_WAY = (TaskState.PREPARING, TaskState.STARTING)


class StatusReporter:
    """`put` and `put_removed` never block; `run` carries them to the cluster.

    Nobody acts on a task that is being prepared or started, and each entry costs every node: such a status waits
    `progress_batch_s`, in which most have come further, and goes along with any that waits only `batch_s`. So does the
    news that one runs, while others here are still on their way: what waits for a start mostly waits for all of them.

    What was not accepted is kept and tried again: at once when the cluster has news of this node (a lost node's
    reports are refused until its daemon has started again), else after a second.
    """

    def __init__(
        self, node_id: str, machine: Machine, proposer: Proposer, *, batch_s: float, progress_batch_s: float
    ) -> None:
        self._node_id = node_id
        self._machine = machine
        self._proposer = proposer
        self._batch_s = batch_s
        self._progress_batch_s = progress_batch_s
        self._statuses: dict[str, TaskStatus] = {}
        self._removed: dict[str, None] = {}
        self._under_way: set[str] = set()
        self._due_s = math.inf
        self._sooner = trio.Event()

    @property
    def waiting(self) -> int:
        """How many tasks have something that the cluster has not accepted yet."""
        return len(self._statuses) + len(self._removed)

    def put(self, task_id: str, status: TaskStatus) -> None:
        self._statuses[task_id] = status
        self._send_in(self._progress_batch_s if self._can_wait(task_id, status) else self._batch_s)

    def _can_wait(self, task_id: str, status: TaskStatus) -> bool:
        if status.state in _UNDER_WAY:
            self._under_way.add(task_id)
            return True
        begins = task_id in self._under_way and status.state is TaskState.RUNNING
        self._under_way.discard(task_id)
        return begins and bool(self._under_way)

    def put_removed(self, task_id: str) -> None:
        self.drop(task_id)
        self._removed[task_id] = None
        self._send_in(self._batch_s)

    def drop(self, task_id: str) -> None:
        """The replica no longer has the task here: there is nothing left to tell of it."""
        self._statuses.pop(task_id, None)
        self._removed.pop(task_id, None)
        self._under_way.discard(task_id)

    async def run(self) -> None:
        while True:
            await self._until_due()
            self._due_s = math.inf
            if self.waiting and not await self._send_batch():
                self._send_in(0)

    def _send_in(self, wait_s: float) -> None:
        due_s = trio.current_time() + wait_s
        if due_s < self._due_s:
            self._due_s = due_s
            self._sooner.set()

    async def _until_due(self) -> None:
        while trio.current_time() < self._due_s:
            self._sooner = trio.Event()
            with trio.move_on_at(self._due_s):
                await self._sooner.wait()

    async def _send_batch(self) -> bool:
        """Whether all that waited was accepted."""
        statuses = dict(list(self._statuses.items())[:MAX_BATCH])
        removed = list(self._removed)[:MAX_BATCH]
        index = self._machine.watch.index
        node = self._machine.state.nodes.get(self._node_id)
        command = ReportTasks(
            node_id=self._node_id,
            reports=[TaskReport(task_id, status) for task_id, status in statuses.items()],
            removed=removed,
        )
        try:
            committed = await self._proposer.propose(command)
        except ConsensusError as error:
            log.info("report_delayed", tasks=len(statuses) + len(removed), reason=str(error))
            with trio.move_on_after(_RETRY_S):
                await self._machine.watch.changed(index)
            return False
        if isinstance(committed.outcome, Refusal):
            log.info("report_refused", tasks=len(statuses) + len(removed), reason=committed.outcome.message)
            while self._machine.state.nodes.get(self._node_id) is node:
                index = await self._machine.watch.changed(index)
            return False
        for task_id, status in statuses.items():
            # A newer status may have come while this one was under way.
            if self._statuses.get(task_id) == status:
                del self._statuses[task_id]
        for task_id in removed:
            self._removed.pop(task_id, None)
        return len(statuses) < MAX_BATCH and len(removed) < MAX_BATCH
