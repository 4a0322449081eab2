"""Running replicas are moved to where they would be placed today: nodes came, or load became uneven.

One at a time, over the whole cluster: its replacement starts first and it goes when that serves (`rolling`), so an app
never serves less than before. Given up where the replacement does not come to serve.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.commands import CancelMove, MoveTask
from consensus.model.move import Move
from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import section_of
from consensus.state import State
from hivemind.orchestrator.alerts import MASS_LOSS
from hivemind.orchestrator.scheduler.capacity import ReservedCache
from hivemind.orchestrator.scheduler.evenness import Evenness
from hivemind.orchestrator.scheduler.surroundings import Surroundings

MOVE_TIMEOUT_S = 120.0
"""How long a replacement has to come to serve. Pulling a large image takes about a minute."""


def plan(
    state: State, apps: Iterable[str], surroundings: Surroundings, cache: ReservedCache, wall_s: float
) -> list[MoveTask | CancelMove]:
    """The next move, or the end of one that came to nothing. `apps` may be spread unevenly; the others are not."""
    moves = under_way(state)
    if moves:
        late = [move.task_id for move in moves if wall_s - move.began_at_s >= MOVE_TIMEOUT_S]
        return [CancelMove(task_id) for task_id in late if state.tasks[task_id].wanted]
    settings = section_of(state.settings, SchedulerSettings)
    if not settings.rebalance or MASS_LOSS in state.alerts:
        return []
    found = Evenness(state, settings, surroundings, cache, wall_s).shift(apps)
    return [] if found is None else [MoveTask(found.task.id, found.node_id, found.reason)]


def under_way(state: State) -> list[Move]:
    """Those of which the replacement does not serve yet, or the replica is still stopping."""
    return [move for move in state.moves.values() if move.under_way]
