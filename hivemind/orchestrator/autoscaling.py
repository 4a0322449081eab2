"""How many replicas an app shall have by the CPU that they use.

The rule is that of Kubernetes' horizontal pod autoscaler: as many as bring the mean use to its target, unchanged
while it is near enough to that. What is not measured is taken to use nothing where the number would rise, and just its
target where it would fall, so that nothing changes for want of measures. Then the number may rise to the least, and
fall to the most, that was called for within the app's windows. Bookkeeping for one term: a new leader's windows begin
anew, so that it, too, lets no number fall before it has looked for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from consensus.commands import ScaleApp
from consensus.model.app import App
from consensus.model.autoscale import Autoscale, Autoscaled
from consensus.model.task import Task
from consensus.state import State
from hivemind.orchestrator.cpu_use import CpuUse

DEFAULT_CORES = 1.0
"""Of which `cpu_target` is a share, where the app requests no CPU."""
GROWTH = 2
GROWTH_LEAST = 4
"""At once the number rises to its double, or by 4, at most (Kubernetes' default policies)."""
_ROUNDING = 1e-6


class Call(Struct, frozen=True):
    """So many replicas were called for from a moment of the leader's clock on, until the next call."""

    at_s: float
    replicas: int
    reason: str = ""


class _Watched(Struct):
    """One app. `calls`: the oldest first; a watch begins with the number that there was."""

    created_at_s: float
    replicas: int
    autoscaled: Autoscaled | None
    calls: list[Call]

    def add(self, call: Call, longest_s: float) -> None:
        """Forgets those that ended more than `longest_s` ago."""
        if self.calls[-1].replicas == call.replicas:
            call = Call(self.calls.pop().at_s, call.replicas, call.reason)
        self.calls.append(call)
        while len(self.calls) > 1 and self.calls[1].at_s <= call.at_s - longest_s:
            del self.calls[0]


class Autoscaling:
    """What this leader has measured of the apps that are scaled by their use."""

    def __init__(self) -> None:
        self.use = CpuUse()
        self._touched: set[str] = set()
        self._names: set[str] = set()
        self._watched: dict[str, _Watched] = {}

    def touched(self, apps: Iterable[str]) -> None:
        """Something of these apps was written."""
        self._touched.update(apps)

    def apps(self, state: State) -> frozenset[str]:
        """Those that are scaled by their use."""
        for name in self._touched:
            app = state.apps.get(name)
            if app is not None and app.spec.autoscale is not None:
                self._names.add(name)
            else:
                self._names.discard(name)
                self._watched.pop(name, None)
        self._touched.clear()
        return frozenset(self._names)

    def look(self, state: State, now_s: float) -> None:
        """Takes in what was measured since the last look. `now_s` is the loop's."""
        kept: set[str] = set()
        for name in self.apps(state):
            app = state.apps[name]
            tasks = measured_tasks(state, app)
            kept.update(task.id for task in tasks)
            watched = self._watch(app, now_s)
            used = self.use.cores((task.id for task in tasks), now_s)
            # Without a measure nothing is called for but what there is, and that begins the windows anew.
            call = called_for(app, used, now_s) or Call(now_s, app.spec.replicas)
            watched.add(call, max(_windows_s(app)))
        self.use.keep_only(kept)

    def _watch(self, app: App, now_s: float) -> _Watched:
        """Begun anew where somebody else has changed the number: that holds until the windows are over, too."""
        watched, replicas = self._watched.get(app.name), app.spec.replicas
        if watched is not None and watched.created_at_s == app.created_at_s:
            ours = app.autoscaled is not None and app.autoscaled.replicas == replicas
            if watched.replicas == replicas or (ours and app.autoscaled != watched.autoscaled):
                watched.replicas, watched.autoscaled = replicas, app.autoscaled
                return watched
        watched = _Watched(app.created_at_s, replicas, app.autoscaled, [Call(now_s, replicas)])
        self._watched[app.name] = watched
        return watched

    def plan(self, state: State, now_s: float) -> list[ScaleApp]:
        """For the apps that were looked at. `now_s` is the loop's."""
        commands = []
        for name in sorted(self.apps(state)):
            app, watched = state.apps[name], self._watched.get(name)
            autoscale, replicas = app.spec.autoscale, app.spec.replicas
            if watched is None or autoscale is None or watched.replicas != replicas:
                continue
            wanted = autoscale.within(stabilised(watched.calls, replicas, autoscale, now_s))
            if wanted != replicas:
                reason = watched.calls[-1].reason or f"autoscale allows {autoscale.min} to {autoscale.max}"
                commands.append(ScaleApp(name, wanted, reason, previous=replicas))
        return commands


def _windows_s(app: App) -> tuple[float, float]:
    autoscale = app.spec.autoscale
    return (0.0, 0.0) if autoscale is None else (autoscale.up_window_s, autoscale.down_window_s)


def measured_tasks(state: State, app: App) -> list[Task]:
    """The replicas whose use counts: those that do the app's work."""
    return [task for task in state.tasks_of_app(app.name) if task.serving and not state.on_standby(task)]


def called_for(app: App, used: Mapping[str, float], now_s: float) -> Call | None:
    """By the cores that each of its replicas uses; None where nothing was measured."""
    autoscale, replicas = app.spec.autoscale, app.spec.replicas
    if autoscale is None or not used:
        return None
    target = autoscale.cpu_target / 100 * (app.spec.resources.cpu or DEFAULT_CORES)
    total = sum(used.values())
    reason = f"{len(used)} of {replicas} replicas use {total:.2f} cores, the target is {target:.2f} each"
    return Call(now_s, replicas_for(autoscale, target, replicas, len(used), total), reason)


def replicas_for(autoscale: Autoscale, target: float, replicas: int, measured: int, used: float) -> int:
    """How many bring the mean to `target` cores, when `measured` of `replicas` use `used` cores together."""
    unmeasured = max(0, replicas - measured)
    at_most = used + unmeasured * target
    wanted = replicas
    if used > replicas * target * (1 + autoscale.tolerance):
        wanted = min(_ceil(used / target), max(GROWTH * replicas, replicas + GROWTH_LEAST))
    elif at_most < replicas * target * (1 - autoscale.tolerance):
        wanted = _ceil(at_most / target)
    return autoscale.within(wanted)


def _ceil(value: float) -> int:
    return math.ceil(value - _ROUNDING)


def stabilised(calls: Iterable[Call], replicas: int, autoscale: Autoscale, now_s: float) -> int:
    """The number nearest to `replicas` that the calls of both windows agree to. The last call is in each of them."""
    calls = list(calls)
    up, down = _since(calls, now_s - autoscale.up_window_s), _since(calls, now_s - autoscale.down_window_s)
    least, most = min(call.replicas for call in up), max(call.replicas for call in down)
    return least if least > replicas else min(most, replicas)


def _since(calls: list[Call], at_s: float) -> list[Call]:
    """Those after `at_s`, and the one that held then."""
    first = next((i for i, call in enumerate(calls) if call.at_s > at_s), len(calls))
    return calls[max(0, first - 1) :]
