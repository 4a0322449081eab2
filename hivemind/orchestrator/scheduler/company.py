"""Service affinity: ``app=api`` wants to be near replicas of that app, ``app!=batch`` away from them. Both are wishes.

The keys are labels of apps; `app` is an app's name, `service` its service.
"""

from __future__ import annotations

from collections import Counter

from consensus.model.app import App
from consensus.state import State
from hivemind.orchestrator.scheduler.affinity import parse_affinity


def unmet(state: State, text: str) -> dict[str, int]:
    """By node id, how many terms of `text` are not met there. A text that cannot be read asks for nothing."""
    try:
        terms = parse_affinity(text)
    except ValueError:
        return {}
    found: Counter[str] = Counter()
    for term in terms:
        there: set[str] = set()
        for app in state.apps.values():
            if _labels(app).get(term.key) in term.values:
                there |= _nodes_of(state, app)
        found.update(there if term.negated else (node_id for node_id in state.nodes if node_id not in there))
    return dict(found)


def _labels(app: App) -> dict[str, str]:
    return {**app.spec.labels, "app": app.name, "service": app.service_name}


def _nodes_of(state: State, app: App) -> set[str]:
    tasks = (state.tasks[task_id] for task_id in state.task_ids_by_app.get(app.name, ()))
    return {task.node_id for task in tasks if task.node_id is not None and task.wanted and not state.outdated(task)}
