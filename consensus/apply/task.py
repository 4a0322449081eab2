"""Tasks: minted, placed, reported on by their node, retired, forgotten."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from consensus.apply import run
from consensus.apply.volume import bind_first
from consensus.commands import CreateTasks, PlaceTasks, RemoveTasks, ReportTasks, RescheduleTasks
from consensus.draft import Draft
from consensus.model.app import App
from consensus.model.event import EventType
from consensus.model.node import NodeStatus
from consensus.model.task import DesiredState, Health, Task, TaskState, TaskStatus
from consensus.outcomes import AnyOutcome, Done, Refusal, conflict, not_found


def mint_task(draft: Draft, app: App, slot: int, revision: int = 0) -> Task:
    """A new replica of `app`, not placed yet. `revision` 0 is the app's own."""
    task = Task(
        id=f"{app.name}.{slot}.{draft.mint()}",
        app=app.name,
        slot=slot,
        revision=revision or app.revision,
        generation=app.generation,
        created_at_s=draft.time_s,
        bound_to=app.places.get(slot, ""),
    )
    draft.put_task(task)
    return task


def place(draft: Draft, command: PlaceTasks) -> AnyOutcome:
    """Decisions about tasks that are gone or placed already are passed over: they were made on older news."""
    for placement in command.placements:
        task = draft.state.tasks.get(placement.task_id)
        if task is None or task.node_id is not None or not task.wanted:
            continue
        if placement.node_id is None:
            draft.put_task(replace(task, placement_message=placement.message))
            continue
        node = draft.state.nodes.get(placement.node_id)
        if node is not None and (node.schedulable or (task.bound_to == node.id and node.may_have_bound)):
            status = replace(task.status, state=TaskState.ASSIGNED)
            task = replace(task, node_id=node.id, placement_message="", status=status)
            draft.put_task(task)
            bind_first(draft, task)
    return Done()


def create(draft: Draft, command: CreateTasks) -> AnyOutcome:
    """Slots that have an up-to-date replica are passed over: they were free on older news."""
    app = draft.state.apps.get(command.app)
    if app is None:
        return not_found("app", command.app)
    revision = command.revision or app.revision
    if (app.name, revision) not in draft.state.specs:
        return conflict(f"app {app.name!r} has no revision {revision} any more")
    if not draft.state.is_live(app, revision):
        return conflict(f"app {app.name!r} wants no replicas of revision {revision} now")
    slots, state = frozenset(command.slots), draft.state
    alike = map(state.tasks.__getitem__, state.task_ids_by_app.get(app.name, ()))
    tasks = [task for task in alike if task.slot in slots and task.wanted and task.revision == revision]
    filled = {task.slot for task in tasks if not state.outdated(task)}
    for slot in command.slots:
        if slot not in filled and (slot in app.places or not app.spec.is_global):
            filled.add(slot)
            mint_task(draft, app, slot, revision)
    return Done()


def remove(draft: Draft, command: RemoveTasks) -> AnyOutcome:
    for task_id in command.task_ids:
        task = draft.state.tasks.get(task_id)
        if task is None:
            continue
        if command.preempted_by and task.wanted:
            task = _preempt(draft, task, command.preempted_by)
        if task.run:
            run.stop(draft, task)
        else:
            retire(draft, task)
    return Done()


def _preempt(draft: Draft, task: Task, by: str) -> Task:
    """With the reason, which it keeps until it is gone."""
    message = f"preempted: it makes room for {by}, which is more important"
    task = replace(task, placement_message=message)
    draft.put_task(task)
    _emit(draft, EventType.CONTAINER_PREEMPTED, task, message=message)
    return task


def reschedule(draft: Draft, command: RescheduleTasks) -> AnyOutcome:
    """Only tasks whose node is still held lost: it may have come back since the leader decided."""
    for task_id in command.task_ids:
        task = draft.state.tasks.get(task_id)
        if task is None or task.node_id is None:
            continue
        node = draft.state.nodes.get(task.node_id)
        if node is None or not node.holds_tasks:
            forget(draft, task, recreate=task.wanted)
    return Done()


def retire(draft: Draft, task: Task) -> None:
    """No longer wanted: its agent stops and removes it. Forgotten at once where there is no agent to do so, unless it
    must be known that it has ended."""
    node = None if task.node_id is None else draft.state.nodes.get(task.node_id)
    if node is None or not (node.holds_tasks or draft.state.waits_for_node(task)):
        forget(draft, task, recreate=False)
        return
    if task.desired_state is not DesiredState.REMOVED:
        was_serving = task.serving
        retired = replace(task, desired_state=DesiredState.REMOVED)
        draft.put_task(retired)
        if was_serving:
            _emit_service(draft, retired)


def forget(draft: Draft, task: Task, *, recreate: bool) -> None:
    """Takes `task` out of the state; with `recreate` its slot gets a new replica.

    One that ran until its agent removed it has stopped; only where no agent can tell what became of it, it is lost.
    """
    draft.delete_task(task)
    if task.status.state is TaskState.RUNNING:
        node = None if task.node_id is None else draft.state.nodes.get(task.node_id)
        state = TaskState.STOPPED if node is not None and node.holds_tasks else TaskState.LOST
        _emit(draft, EventType.CONTAINER_STOPPED, replace(task, status=TaskStatus(state=state)))
    if task.status.engine_id is not None:
        _emit(draft, EventType.CONTAINER_DELETED, task, status="deleted")
    if task.serving:
        _emit_service(draft, task)
    if task.run:
        run.note_loss(draft, task)
    app = draft.state.apps.get(task.app)
    if recreate and app is not None and not app.spec.is_global:
        if app.name not in draft.state.changing_apps:
            mint_task(draft, app, task.slot)
        elif draft.state.is_live(app, task.revision):
            mint_task(draft, app, task.slot, task.revision)


def report(draft: Draft, command: ReportTasks) -> AnyOutcome:
    node = draft.state.nodes.get(command.node_id)
    if node is None:
        return not_found("node", command.node_id)
    if node.status in (NodeStatus.LOST, NodeStatus.LEFT):
        return _refuse_lost(command.node_id, node.status)
    for item in command.reports:
        task = draft.state.tasks.get(item.task_id)
        if task is not None and task.node_id == node.id and item.status.follows(task.status):
            _change_status(draft, task, item.status)
    for task_id in command.removed:
        task = draft.state.tasks.get(task_id)
        if task is not None and task.node_id == node.id and task.desired_state is DesiredState.REMOVED:
            forget(draft, task, recreate=False)
    return Done()


def _refuse_lost(node_id: str, status: NodeStatus) -> Refusal:
    return conflict(f"node {node_id!r} is {status}: its daemon must start again before it reports")


def _change_status(draft: Draft, old: Task, status: TaskStatus) -> None:
    task = replace(old, status=status)
    if task.serving is not old.serving:
        task = replace(task, serving_since_s=draft.time_s if task.serving else None)
    draft.put_task(task)
    before = old.status
    if status.engine_id is not None and status.engine_id != before.engine_id:
        _emit(draft, EventType.CONTAINER_CREATED, task, status="created")
    _emit_run(draft, before, task)
    if task.health is not old.health and Health.UNKNOWN is not task.health:
        _emit(
            draft,
            EventType.CONTAINER_HEALTH_CHANGED,
            task,
            previous_status=old.health.value,
            new_status=task.health.value,
            message=status.message,
        )
    if old.serving != task.serving:
        _emit_service(draft, task)
    if status.image_architecture:
        _note_architecture(draft, task)
    if task.run:
        run.note_change(draft, old, task)


def _emit_run(draft: Draft, before: TaskStatus, task: Task) -> None:
    """That a run has ended, that one has begun. One that was too short to be seen has done both."""
    status = task.status
    was_running, runs = before.state is TaskState.RUNNING, status.state is TaskState.RUNNING
    new_run = status.restart_count > before.restart_count
    unseen = not runs and status.state.terminal and status.started_at_s not in (None, before.started_at_s)
    if was_running and (not runs or new_run):
        _emit(draft, EventType.CONTAINER_STOPPED, task, exit_code=status.exit_code)
    if (runs and (not was_running or new_run)) or unseen:
        _emit(draft, EventType.CONTAINER_STARTED, task, status=TaskState.RUNNING.word)
    if unseen:
        _emit(draft, EventType.CONTAINER_STOPPED, task, exit_code=status.exit_code)


def _note_architecture(draft: Draft, task: Task) -> None:
    """What one node has found of an image holds for all that are like it."""
    app, found = draft.state.apps.get(task.app), task.status.image_architecture
    if app is not None and app.architectures.get(task.revision) != found:
        known = {revision: name for revision, name in app.architectures.items() if draft.state.is_live(app, revision)}
        draft.put_app(replace(app, architectures={**known, task.revision: found}))


def _emit(draft: Draft, event_type: EventType, task: Task, **more: Any) -> None:
    resources = [f"container/{task.id}", f"app/{task.app}"]
    if task.node_id is not None:
        resources.append(f"node/{task.node_id}")
    about = {
        "id": task.id,
        "container_id": task.id,
        "name": task.name,
        "app": task.app,
        "node_id": task.node_id,
        "status": task.status.state.word,
    }
    draft.emit(event_type, resources, **{**about, **more})


def _emit_service(draft: Draft, task: Task) -> None:
    app = draft.state.apps.get(task.app)
    if app is not None:
        draft.emit(
            EventType.SERVICE_UPDATED,
            [f"service/{app.service_name}", f"app/{app.name}"],
            name=app.service_name,
            app=app.name,
        )
