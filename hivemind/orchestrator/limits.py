"""How far the replicas of an app may change at once."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app import App
from consensus.model.deployment import Deployment, DeploymentStatus
from consensus.model.strategy import RollingUpdate, Simple, Strategy, amount
from consensus.progress import within_ratio
from consensus.state import State


class Limits(Struct, frozen=True):
    """How far a change may go at once: replicas more than wanted, fewer than wanted, and which end comes first.

    `give_way`: an old replica makes room where its successor finds no place. `accept_failing`: an old one goes
    although its successor fails.
    """

    surge: int = 1
    unavailable: int = 0
    stop_first: bool = False
    give_way: bool = False
    accept_failing: bool = False


def limits_of(state: State, app: App, deployment: Deployment | None) -> Limits:
    """Restarts and drains go one by one; a deployment as its strategy says. What must not run twice stops first."""
    if deployment is None:
        return Limits(0, 1, stop_first=True) if app.spec.keep_lost else Limits()
    replicas = max(1, app.spec.replicas)
    back = deployment.status is DeploymentStatus.ROLLING_BACK
    strategy = deployment.strategy
    if deployment.forced or isinstance(strategy, Simple):
        return Limits(0, replicas, stop_first=True)
    accept = not back and (strategy.failure_action == "continue" or within_ratio(state, app, deployment))
    if app.spec.keep_lost and not _starts_first(strategy):
        stops = RollingUpdate(order="stop-first", max_unavailable=getattr(strategy, "max_unavailable", None))
        return Limits(0, stops.at_once(replicas)[1], stop_first=True, give_way=back, accept_failing=accept)
    if isinstance(strategy, RollingUpdate):
        surge, unavailable = strategy.at_once(replicas)
        if app.spec.min_available is not None:
            unavailable = min(unavailable, app.spec.replicas - app.spec.least_available)
            # Where none may be missing, one more is the only way.
            surge = surge or (0 if unavailable else 1)
        return Limits(surge, unavailable, strategy.stop_first, give_way=back, accept_failing=accept)
    return Limits(max(1, amount("25%", replicas, up=True)), 0, give_way=back, accept_failing=accept)


def _starts_first(strategy: Strategy) -> bool:
    """Whether somebody said so."""
    return isinstance(strategy, RollingUpdate) and (strategy.order == "start-first" or bool(strategy.max_surge))
