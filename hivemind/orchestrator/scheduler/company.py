"""Service affinity: ``app=api`` wants to be near replicas of that app, ``app!=batch`` away from them. Both are wishes.

The keys are labels of apps; `app` is an app's name, `service` its service. Near is the same node best of all, and else
where the round trip is short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from consensus.model.affinity import Term, parse_affinity
from consensus.model.app import App
from consensus.state import State
from hivemind.orchestrator.scheduler.surroundings import Place

HALF_NEAR_S = 0.010
"""The round trip at which nearness is a half: within a rack it is near 1, between continents near 0."""
MOST_RELATED = 16
"""Nodes to which distances are taken, those with the most related tasks: they outweigh the others."""


class Company(Struct, frozen=True, kw_only=True):
    """What one service affinity makes of the nodes, by node id; no entry is 0.

    Attributes:
        met: the share of its wishes for company that are met there.
        violated: the share of those that it wants to be away from and that are there.
        nearness: how near those are that it wants to be near, from 0 to 1.
    """

    met: Mapping[str, float] = {}
    violated: Mapping[str, float] = {}
    nearness: Mapping[str, float] = {}

    def worth(self, node_id: str) -> float:
        """How well its wishes are met there, from -1 to 1."""
        return self.met.get(node_id, 0.0) - self.violated.get(node_id, 0.0)


ALONE = Company()


def company_of(state: State, text: str, places: Mapping[str, Place]) -> Company:
    """A text that cannot be read asks for nothing."""
    try:
        terms = parse_affinity(text)
    except ValueError:
        return ALONE
    wanted = [term for term in terms if not term.negated]
    related: Counter[str] = Counter()
    for term in wanted:
        related.update(_tasks_by_node(state, term))
    return Company(
        met=_shares(state, wanted),
        violated=_shares(state, [term for term in terms if term.negated]),
        nearness=_nearness(sorted(state.nodes), related, places),
    )


def _shares(state: State, terms: Sequence[Term]) -> dict[str, float]:
    there: Counter[str] = Counter()
    for term in terms:
        there.update(set(_tasks_by_node(state, term)))
    return {node_id: count / len(terms) for node_id, count in there.items()}


def _tasks_by_node(state: State, term: Term) -> Counter[str]:
    """How many replicas each node has of the apps that `term` names."""
    found: Counter[str] = Counter()
    for app in state.apps.values():
        if _labels(app).get(term.key) in term.values:
            tasks = (state.tasks[task_id] for task_id in state.task_ids_by_app.get(app.name, ()))
            found.update(
                task.node_id for task in tasks if task.node_id is not None and task.wanted and not state.outdated(task)
            )
    return found


def _labels(app: App) -> dict[str, str]:
    return {**app.spec.labels, "app": app.name, "service": app.service_name}


def _nearness(node_ids: Sequence[str], related: Counter[str], places: Mapping[str, Place]) -> dict[str, float]:
    """A node whose place nobody knows yet is taken to be as near as the others are on average."""
    there = sorted(related.items(), key=lambda item: (-item[1], item[0]))
    there = [(node_id, count) for node_id, count in there if node_id in places][:MOST_RELATED]
    total = sum(count for _, count in there)
    if not total:
        return {}
    known: dict[str, float] = {}
    for node_id in node_ids:
        here = places.get(node_id)
        if here is not None:
            sum_s = sum(0.0 if other == node_id else here.distance_s(places[other]) * count for other, count in there)
            known[node_id] = 1 / (1 + sum_s / total / HALF_NEAR_S)
    average = sum(known.values()) / len(known) if known else 0.0
    return {node_id: known.get(node_id, average) for node_id in node_ids}
