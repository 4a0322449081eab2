"""Global apps: which nodes have a replica is the leader's decision; a slot is one node's for as long as it has one."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply.rollout import scale_deployment
from consensus.apply.slots import free_slots, wanted_by_slot
from consensus.apply.task import mint_task, retire
from consensus.commands import PlaceGlobalApp
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome, Done, conflict, not_found


def place(draft: Draft, command: PlaceGlobalApp) -> AnyOutcome:
    """Replicas of nodes that are not among them end; each new one gets a replica."""
    app = draft.state.apps.get(command.name)
    if app is None:
        return not_found("app", command.name)
    if not app.spec.is_global:
        return conflict(f"app {app.name!r} is not global")
    nodes = [node_id for node_id in command.node_ids if node_id in draft.state.nodes]
    places = {slot: node_id for slot, node_id in app.places.items() if node_id in nodes}
    slots = wanted_by_slot(draft.state.tasks_of_app(app.name))
    for slot, tasks in slots.items():
        if slot not in places:
            for task in tasks:
                retire(draft, task)
    new = [node_id for node_id in nodes if node_id not in places.values()]
    added = dict(zip(free_slots(places, len(new)), new, strict=True))
    app = replace(
        app, places={**places, **added}, spec=replace(app.spec, replicas=len(nodes)), updated_at_s=draft.time_s
    )
    draft.put_app(app)
    if app.name in draft.state.changing_apps:
        scale_deployment(draft, app, len(nodes))
    else:
        for slot in sorted(added):
            mint_task(draft, app, slot)
    return Done()
