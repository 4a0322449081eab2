"""Runs are carried to their end: attempts for what is still to be done, the end where time is over."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.commands import AttemptRun, EndRun, RemoveTasks
from consensus.model.run import Run, RunStatus
from consensus.state import State

Command = AttemptRun | EndRun | RemoveTasks


def plan(state: State, owners: Iterable[str], wall_s: float) -> list[Command]:
    """For the runs of each of `owners` that go on. `wall_s` is Unix time."""
    commands: list[Command] = []
    for owner in sorted(owners):
        for run in state.runs_of(owner):
            if not run.status.finished:
                commands += _plan_run(state, run, wall_s)
    return commands


def _plan_run(state: State, run: Run, wall_s: float) -> list[Command]:
    if wall_s >= run.ends_by_s:
        return [EndRun(run.id, RunStatus.FAILED, f"it was not done within {run.policy.timeout_s:g} s")]
    at_work = [task for task in state.tasks_of_run(run) if not task.ended]
    # On a node that drains, an attempt is stopped; once it has ended, the next one begins elsewhere.
    evicted = [task.id for task in at_work if task.wanted and state.outdated(task)]
    commands: list[Command] = [RemoveTasks(evicted)] if evicted else []
    slots = _slots_to_begin(state, run, {task.slot for task in at_work})
    if slots and wall_s >= run.retry_at_s:
        commands.append(AttemptRun(run.id, slots))
    return commands


def _slots_to_begin(state: State, run: Run, busy: set[int]) -> list[int]:
    if run.waits and state.in_the_way_of(run):
        return []
    policy, done = run.policy, set(run.completed)
    count = min(policy.parallelism, policy.completions - len(done)) - len(busy)
    slots: list[int] = []
    for slot in range(1, policy.completions + 1):
        if len(slots) >= count:
            break
        if slot not in busy and slot not in done:
            slots.append(slot)
    return slots


def due_s(state: State, owner: str) -> float:
    """When time alone changes what is planned for the runs of `owner`, in Unix seconds; else infinity."""
    instants = [float("inf")]
    for run in state.runs_of(owner):
        if not run.status.finished:
            instants.append(run.ends_by_s)
            if _slots_to_begin(state, run, {task.slot for task in state.tasks_of_run(run) if not task.ended}):
                instants.append(run.retry_at_s)
    return min(instants)
