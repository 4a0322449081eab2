"""Runs: begun, carried on as their attempts end, ended.

Whoever has work that is to be done once begins a run of it; the tasks and their nodes tell the rest.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from consensus.draft import Draft
from consensus.model.event import EventType
from consensus.model.run import Run, RunPolicy, RunStatus
from consensus.model.task import DesiredState, Task, TaskState

_EVENTS = {
    RunStatus.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunStatus.FAILED: EventType.RUN_FAILED,
    RunStatus.STOPPED: EventType.RUN_STOPPED,
}


def begin(
    draft: Draft,
    owner: str,
    revision: int,
    policy: RunPolicy,
    *,
    reason: str,
    number: int = 1,
    scheduled_at_s: float | None = None,
    alone: bool = False,
) -> tuple[Run, list[Task]]:
    """A new run, with its first tasks. (`owner`, `revision`) is stored as a spec already.

    `alone`: they are made later, where anything of the owner's earlier runs is still at work.
    """
    run = Run(
        id=f"{owner}-{draft.mint()}",
        owner=owner,
        revision=revision,
        policy=policy,
        number=number,
        reason=reason,
        scheduled_at_s=scheduled_at_s,
        created_at_s=draft.time_s,
    )
    if alone and draft.state.in_the_way_of(run):
        run = replace(run, free_at_s=float("inf"), message="waits until the containers of the run before have ended")
    draft.put_run(run)
    emit(draft, EventType.RUN_STARTED, run)
    return run, attempt(draft, run, list(range(1, min(policy.parallelism, policy.completions) + 1)))


def attempt(draft: Draft, run: Run, slots: list[int]) -> list[Task]:
    """New tasks for those of `slots` that have none at work and have not ended well."""
    if run.waits:
        if draft.state.in_the_way_of(run):
            return []
        run = replace(run, free_at_s=draft.time_s, message="")
        draft.put_run(run)
    taken = {task.slot for task in draft.state.tasks_of_run(run) if not task.ended} | set(run.completed)
    tasks = []
    for slot in slots:
        if slot in taken or not 1 <= slot <= run.policy.completions:
            continue
        taken.add(slot)
        task = Task(
            id=f"{run.owner}.{slot}.{draft.mint()}",
            app=run.owner,
            slot=slot,
            revision=run.revision,
            generation=1,
            created_at_s=draft.time_s,
            run=run.id,
        )
        draft.put_task(task)
        tasks.append(task)
    return tasks


def note_change(draft: Draft, before: Task, task: Task) -> None:
    """The status of an attempt is another one."""
    run = draft.state.runs.get(task.run)
    if run is None or run.status.finished or before.ended or not task.ended:
        return
    status = task.status
    if status.state is TaskState.COMPLETED:
        completed = tuple(sorted({*run.completed, task.slot}))
        run = replace(run, completed=completed)
        if len(completed) >= run.policy.completions:
            finish(draft, run, RunStatus.SUCCEEDED, "")
        else:
            draft.put_run(run)
    elif not _was_cut_short(run, task) and (
        status.state is not TaskState.STOPPED or before.status.state >= TaskState.STARTING
    ):
        _count_failure(draft, run, status.message or f"attempt {task.id} was {status.state.word}")


def _was_cut_short(run: Run, task: Task) -> bool:
    """Whether the cluster stopped it, as for a drain: no fault of the work. What must not begin twice has failed."""
    return not task.wanted and run.policy.backoff_limit > 0


def note_loss(draft: Draft, task: Task) -> None:
    """An attempt is forgotten; what became of it, nobody will tell."""
    run = draft.state.runs.get(task.run)
    if run is None or run.status.finished or task.ended or task.status.state < TaskState.STARTING:
        return
    if _was_cut_short(run, task):
        return
    _count_failure(draft, run, f"attempt {task.id} was lost with node {task.node_id}")


def _count_failure(draft: Draft, run: Run, message: str) -> None:
    failures = run.failures + 1
    retry_at_s = draft.time_s + run.policy.delay_s(failures)
    run = replace(run, failures=failures, message=message, retry_at_s=retry_at_s)
    if failures > run.policy.backoff_limit:
        finish(draft, run, RunStatus.FAILED, message)
    else:
        draft.put_run(run)


def finish(draft: Draft, run: Run, status: RunStatus, message: str) -> None:
    """It is over. Tasks that are still at work are stopped."""
    run = replace(run, status=status, message=message, finished_at_s=draft.time_s)
    draft.put_run(run)
    for task in draft.state.tasks_of_run(run):
        if not task.ended:
            stop(draft, task)
    emit(draft, _EVENTS[status], run)


def stop(draft: Draft, task: Task) -> None:
    """Ends an attempt; what it wrote is kept. One that has no node yet is forgotten."""
    if task.node_id is None:
        draft.delete_task(task)
    elif task.wanted:
        draft.put_task(replace(task, desired_state=DesiredState.STOPPED))


def emit(draft: Draft, event_type: EventType, run: Run, **more: Any) -> None:
    about = {
        "id": run.id,
        "run_id": run.id,
        "job": run.owner,
        "number": run.number,
        "status": run.status.value,
        "reason": run.reason,
        "failures": run.failures,
        "message": run.message,
    }
    draft.emit(event_type, [f"run/{run.id}", f"job/{run.owner}"], **{**about, **more})
