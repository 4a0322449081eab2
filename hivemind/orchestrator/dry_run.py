"""What a deploy would do, without doing it: the same command on a copy of the state, the same placement."""

from __future__ import annotations

from msgspec import Struct

from consensus.apply import apply_command
from consensus.commands import DeployApp, PlaceTasks, RemoveTasks
from consensus.draft import Draft
from consensus.entry import CommandId
from consensus.model.app_spec import AppSpec
from consensus.outcomes import Refusal
from consensus.state import State
from hivemind.orchestrator import global_apps, placement, replicas
from hivemind.orchestrator.scheduler.capacity import ReservedCache
from hivemind.orchestrator.scheduler.place import Explained, explain_all
from hivemind.orchestrator.scheduler.snapshot import pending_tasks, take_snapshot
from hivemind.orchestrator.scheduler.surroundings import Surroundings


class DryRun(Struct, frozen=True):
    """A decision for each replica, by slot; and the ids of the tasks that would be preempted."""

    replicas: list[Explained]
    preempted: list[str]


def dry_run(state: State, spec: AppSpec, surroundings: Surroundings, now_s: float) -> Refusal | DryRun:
    draft = Draft(state, index=0, time_s=now_s, command_id=CommandId("dry-run", 1))
    outcome = apply_command(draft, DeployApp(spec))
    if isinstance(outcome, Refusal):
        return outcome
    for command in global_apps.plan(draft.state, [spec.name]):
        apply_command(draft, command)
    while missing := replicas.plan(draft.state, [spec.name]):
        for step in missing:
            apply_command(draft, step)
    after = draft.state
    tasks = [pending for _, pending in pending_tasks(after)]
    explained = explain_all(take_snapshot(after, tasks, surroundings, ReservedCache()), tasks)
    by_task = {one.placement.task_id: one for one in explained}
    apply_command(draft, PlaceTasks([one.placement for one in explained]))
    preempted = [
        task_id
        for found in placement.plan(draft.state, surroundings)
        if isinstance(found, RemoveTasks)
        for task_id in found.task_ids
    ]
    return DryRun([by_task[task.id] for task in after.tasks_of_app(spec.name)], preempted)
