"""Apps: deployed, scaled, restarted, deleted."""

from __future__ import annotations

from heapq import nsmallest

from msgspec.structs import replace

from consensus.apply.namespace import foreign
from consensus.apply.rollout import end_with_app, scale_deployment
from consensus.apply.service import end_unused, serve_app
from consensus.apply.slots import free_slots, surplus, wanted_by_slot
from consensus.apply.task import mint_task, retire
from consensus.apply.volume import provide_volumes
from consensus.commands import DeleteApp, DeployApp, RestartApp, ScaleApp
from consensus.draft import Draft
from consensus.model.app import App, Revision
from consensus.model.app_spec import AppSpec
from consensus.model.autoscale import Autoscaled
from consensus.model.event import EventType
from consensus.model.workload import WorkloadSpec
from consensus.outcomes import AnyOutcome, Deployed, Done, Refusal, Scaled, conflict, invalid, not_found

TASKS_AT_ONCE = 500
"""So many replicas one entry makes or ends, or applying it would hold the loop over 20 ms; the leader does the rest
(`hivemind.orchestrator.replicas`)."""


def deploy(draft: Draft, command: DeployApp) -> AnyOutcome:
    spec = command.spec
    if spec.is_global:
        # The leader says which nodes fit.
        spec = replace(spec, replicas=0)
    spec = spec.sized(spec.replicas)
    refusal = _conflicts(draft, spec)
    if refusal is not None:
        return refusal
    revision = draft.put_spec(spec)
    app = App(
        spec=spec,
        revision=revision,
        created_at_s=draft.time_s,
        updated_at_s=draft.time_s,
        history=(Revision(1, revision, draft.time_s, "deployed"),),
    )
    draft.put_app(app)
    provide(draft, app)
    tasks = [mint_task(draft, app, slot) for slot in range(1, min(spec.replicas, TASKS_AT_ONCE) + 1)]
    return Deployed(name=app.name, service=app.service_name, task_ids=[task.id for task in tasks])


def provide(draft: Draft, app: App) -> None:
    """What `app` refers to and nobody made: its volumes and its service."""
    provide_volumes(draft, app.spec)
    serve_app(draft, app.service_name, app.name, app.spec.namespace)


def _conflicts(draft: Draft, spec: AppSpec) -> Refusal | None:
    if spec.name in draft.state.apps:
        return conflict(f"app {spec.name!r} exists already; PUT /apps/{spec.name} changes it")
    if spec.name in draft.state.jobs:
        return conflict(f"a job is called {spec.name!r}: its containers and the app's could not be told apart")
    return (
        foreign(draft, spec)
        or unknown_priority(draft, spec)
        or port_conflict(draft, spec)
        or dependency_cycle(draft, spec)
    )


def dependency_cycle(draft: Draft, spec: AppSpec) -> Refusal | None:
    """Where apps would wait for each other. What an app depends on need not be there yet."""
    path = {dependency.app: [spec.name, dependency.app] for dependency in spec.depends_on}
    for _ in range(len(draft.state.apps) + 1):
        if spec.name in path:
            return invalid(f"depends_on: {' waits for '.join(path[spec.name])}")
        further: dict[str, list[str]] = {}
        for name, way in path.items():
            app = draft.state.apps.get(name)
            for dependency in () if app is None else app.spec.depends_on:
                if dependency.app not in way or dependency.app == spec.name:
                    further.setdefault(dependency.app, [*way, dependency.app])
        path = further
        if not path:
            return None
    return None


def unknown_priority(draft: Draft, spec: WorkloadSpec) -> Refusal | None:
    known = draft.state.all_priority_classes()
    if spec.priority_class is None or spec.priority_class in known:
        return None
    return invalid(f"priority_class: expected one of {', '.join(sorted(known))}, got {spec.priority_class!r}")


def port_conflict(draft: Draft, spec: AppSpec) -> Refusal | None:
    """Where another app or a service publishes what `spec` would."""
    for port, protocol in spec.published_ports:
        owner = draft.state.publisher_of(port, protocol)
        if owner is not None and owner != spec.name:
            return conflict(f"host_port {port}/{protocol} is published by app {owner!r} already")
        service = draft.state.service_by_host_port.get((port, protocol))
        if service is not None:
            return conflict(f"host_port {port}/{protocol} is published by service {service!r} already")
    return None


def not_scalable(app: App) -> Refusal | None:
    if not app.spec.is_global:
        return None
    return conflict(
        f"app {app.name!r} is global: it has one replica on each node that fits;"
        " node_affinity, tolerations and the nodes' taints say which those are"
    )


def out_of_bounds(app: App, replicas: int) -> Refusal | None:
    """Of a number that a user asks for, where the app's use of CPU decides."""
    autoscale = app.spec.autoscale
    if autoscale is None or autoscale.within(replicas) == replicas:
        return None
    return conflict(
        f"replicas: expected {autoscale.min} to {autoscale.max}, the bounds of autoscale of app {app.name!r},"
        f" got {replicas}"
    )


def _by_autoscale(draft: Draft, app: App, command: ScaleApp) -> App | Refusal:
    """`app` with note of it. A decision that was made on older news changes nothing."""
    autoscale, previous = app.spec.autoscale, app.spec.replicas
    if autoscale is None or previous != command.previous or autoscale.within(command.replicas) != command.replicas:
        return conflict(f"app {app.name!r} has changed meanwhile")
    done = Autoscaled(at_s=draft.time_s, previous_replicas=previous, replicas=command.replicas, reason=command.reason)
    return replace(app, autoscaled=done)


def scale(draft: Draft, command: ScaleApp) -> AnyOutcome:
    app = draft.state.apps.get(command.name)
    if app is None:
        return not_found("app", command.name)
    refusal = not_scalable(app) or (None if command.reason else out_of_bounds(app, command.replicas))
    if refusal is not None:
        return refusal
    previous = app.spec.replicas
    if command.reason:
        noted = _by_autoscale(draft, app, command)
        if isinstance(noted, Refusal):
            return noted
        app = noted
    app = replace(app, spec=replace(app.spec, replicas=command.replicas), updated_at_s=draft.time_s)
    draft.put_app(app)
    _emit_scaled(draft, app, previous, command.reason or "by hand")
    if app.name in draft.state.changing_apps:
        # Of which revision the new ones are is the deployment's matter: the leader makes and ends replicas.
        scale_deployment(draft, app, command.replicas)
        return Scaled(name=app.name, previous_replicas=previous, new_replicas=command.replicas, created=[], removed=[])
    if max(previous, command.replicas) > TASKS_AT_ONCE:
        return Scaled(name=app.name, previous_replicas=previous, new_replicas=command.replicas, created=[], removed=[])
    tasks = draft.state.tasks_of_app(app.name)
    slots = wanted_by_slot(tasks)
    # Where nothing may run twice, a slot is free when its last replica is gone.
    taken = {task.slot for task in tasks} if app.spec.keep_lost else slots
    created = [mint_task(draft, app, slot).id for slot in free_slots(taken, max(0, command.replicas - len(slots)))]
    removed = surplus(draft.state, slots, command.replicas)
    for task in removed:
        retire(draft, task)
    return Scaled(
        name=app.name,
        previous_replicas=previous,
        new_replicas=command.replicas,
        created=created,
        removed=[task.id for task in removed],
    )


def _emit_scaled(draft: Draft, app: App, previous: int, reason: str) -> None:
    draft.emit(
        EventType.APP_SCALED,
        [f"app/{app.name}"],
        name=app.name,
        app=app.name,
        previous_replicas=previous,
        replicas=app.spec.replicas,
        reason=reason,
    )


def restart(draft: Draft, command: RestartApp) -> AnyOutcome:
    """Makes the replicas outdated; the leader replaces them one after the other."""
    app = draft.state.apps.get(command.name)
    if app is None:
        return not_found("app", command.name)
    # What was known of its image may be different now.
    draft.put_app(replace(app, generation=app.generation + 1, updated_at_s=draft.time_s, architectures={}))
    return Done()


def delete(draft: Draft, command: DeleteApp) -> AnyOutcome:
    app = draft.state.apps.get(command.name)
    if app is None:
        return not_found("app", command.name)
    end_with_app(draft, app)
    draft.delete_app(app)
    for task_id in nsmallest(TASKS_AT_ONCE, draft.state.task_ids_by_app.get(app.name, ())):
        retire(draft, draft.state.tasks[task_id])
    end_unused(draft, app.service_name, app.name)
    return Done()
