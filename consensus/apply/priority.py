"""Priority classes: created and deleted; those that are built in stay."""

from __future__ import annotations

from consensus.commands import CreatePriorityClass, DeletePriorityClass
from consensus.draft import Draft
from consensus.model.priority import BUILT_IN
from consensus.outcomes import AnyOutcome, Done, conflict, not_found


def create(draft: Draft, command: CreatePriorityClass) -> AnyOutcome:
    name = command.priority_class.name
    if name in draft.state.all_priority_classes():
        return conflict(f"priority class {name!r} exists already")
    draft.put_priority_class(command.priority_class)
    return Done()


def delete(draft: Draft, command: DeletePriorityClass) -> AnyOutcome:
    if command.name in BUILT_IN:
        return conflict(f"priority class {command.name!r} is built in")
    if command.name not in draft.state.priority_classes:
        return not_found("priority class", command.name)
    workloads = (*draft.state.apps.values(), *draft.state.jobs.values())
    users = [workload.name for workload in workloads if workload.spec.priority_class == command.name]
    if users:
        return conflict(f"priority class {command.name!r} is used by {', '.join(sorted(users)[:5])}")
    draft.delete_priority_class(command.name)
    return Done()
