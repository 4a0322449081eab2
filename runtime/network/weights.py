"""Which part of a service's requests each endpoint gets. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from consensus.model.deployment import request_split
from consensus.model.service import Service, Strategy
from consensus.model.task import Task
from consensus.state import State


def weights_of(state: State, service: Service, tasks: Sequence[Task], given: int) -> tuple[int, ...]:
    """The smallest whole numbers that stand to each other as the parts of `tasks`, then of the endpoints `given`.

    An app's part is its weight, or the number of its tasks; a deployment that splits the requests divides it among
    revisions; within a revision all are alike.
    """
    weighted = service.load_balancing_strategy != Strategy.ROUND_ROBIN
    own = [endpoint.weight if weighted else 1 for endpoint in service.endpoints] if given else []
    if not (weighted and service.weights) and not any(task.app in state.changing_apps for task in tasks):
        return _whole([*(Fraction(1) for _ in tasks), *map(Fraction, own)])
    counts = Counter((task.app, task.revision) for task in tasks)
    parts: dict[tuple[str, int], Fraction] = {}
    for app in sorted({app for app, _ in counts}):
        revisions = {revision: count for (name, revision), count in counts.items() if name == app}
        part = Fraction(sum(revisions.values()))
        if weighted and app in service.weights:
            part = Fraction(service.weights[app])
        for revision, share in _split(state, app, revisions).items():
            parts[app, revision] = part * share / revisions[revision]
    return _whole([*(parts[task.app, task.revision] for task in tasks), *map(Fraction, own)])


def _split(state: State, app: str, revisions: dict[int, int]) -> dict[int, Fraction]:
    """The part of each of `revisions`, which have so many tasks that serve; their sum is 1."""
    wanted = {} if app not in state.apps else request_split(state.apps[app], state.deployment_of(state.apps[app]))
    total = sum(revisions.values())
    even = {revision: Fraction(count, total) for revision, count in revisions.items()}
    if not wanted or len(revisions) == 1:
        return even
    # A set that is not complete yet gets its part only as far as it is there, or its first replica would get it all.
    parts = {
        revision: Fraction(wanted[revision].percent, 100)
        * Fraction(min(count, wanted[revision].replicas), max(1, wanted[revision].replicas))
        for revision, count in revisions.items()
        if revision in wanted
    }
    rest = {revision: count for revision, count in revisions.items() if revision not in wanted}
    left = max(Fraction(0), 1 - sum(parts.values()))
    parts |= {revision: left * Fraction(count, sum(rest.values())) for revision, count in rest.items()}
    whole = sum(parts.values())
    return {revision: part / whole for revision, part in parts.items()} if whole else even


def _whole(parts: Sequence[Fraction]) -> tuple[int, ...]:
    scale = math.lcm(*(part.denominator for part in parts))
    numbers = [int(part * scale) for part in parts]
    factor = math.gcd(*numbers) or 1
    return tuple(number // factor for number in numbers)
