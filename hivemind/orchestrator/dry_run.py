"""What a deploy would do, without doing it: the same command on a copy of the state, the same placement."""

from __future__ import annotations

from consensus.apply import apply_command
from consensus.commands import DeployApp, PlaceTasks, RemoveTasks
from consensus.draft import Draft
from consensus.entry import CommandId
from consensus.model.app_spec import AppSpec
from consensus.outcomes import Refusal
from consensus.state import State
from hivemind.orchestrator import placement
from hivemind.orchestrator.scheduler.capacity import Overcommit


def dry_run(
    state: State, spec: AppSpec, overcommit: Overcommit, now_s: float
) -> Refusal | tuple[list[tuple[str | None, str]], list[str]]:
    """For each replica its node, or None and why there is none; and the ids of the tasks that would be preempted."""
    draft = Draft(state, index=0, time_s=now_s, command_id=CommandId("dry-run", 1))
    outcome = apply_command(draft, DeployApp(spec))
    if isinstance(outcome, Refusal):
        return outcome
    after = draft.state
    placed: dict[str, tuple[str | None, str]] = {}
    preempted: list[str] = []
    for command in placement.plan(after, overcommit):
        match command:
            case PlaceTasks(placements):
                placed.update({one.task_id: (one.node_id, one.message) for one in placements})
            case RemoveTasks(task_ids):
                preempted += task_ids
    return [placed[task.id] for task in after.tasks_of_app(spec.name)], preempted
