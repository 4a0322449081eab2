"""Priority classes: created and deleted; those that are built in stay."""

from __future__ import annotations

from collections.abc import Iterator

from consensus.commands import CreatePriorityClass, DeletePriorityClass
from consensus.draft import Draft
from consensus.model.priority import BUILT_IN
from consensus.model.workload import WorkloadSpec
from consensus.outcomes import AnyOutcome, Done, conflict, not_found
from consensus.state import State


def create(draft: Draft, command: CreatePriorityClass) -> AnyOutcome:
    name = command.priority_class.name
    if name in draft.state.all_priority_classes():
        return conflict(f"priority class {name!r} exists already")
    draft.put_priority_class(command.priority_class)
    return Done()


def _specs(state: State) -> Iterator[WorkloadSpec]:
    """Of all that there is, and of what apps are being changed to, or back to."""
    for workload in (*state.apps.values(), *state.jobs.values()):
        yield workload.spec
    for name in state.changing_apps:
        app = state.apps[name]
        deployment, standby = state.deployment_of(app), app.standby
        revisions = () if deployment is None else (deployment.old_revision, *deployment.new_revisions)
        for revision in (*revisions, *(() if standby is None else (standby.revision,))):
            yield state.specs[name, revision]


def delete(draft: Draft, command: DeletePriorityClass) -> AnyOutcome:
    if command.name in BUILT_IN:
        return conflict(f"priority class {command.name!r} is built in")
    if command.name not in draft.state.priority_classes:
        return not_found("priority class", command.name)
    users = sorted({spec.name for spec in _specs(draft.state) if spec.priority_class == command.name})
    if users:
        return conflict(f"priority class {command.name!r} is used by {', '.join(users[:5])}")
    draft.delete_priority_class(command.name)
    return Done()
