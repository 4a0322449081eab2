"""Runs the probes of this node's containers and keeps their results."""

from __future__ import annotations

from collections.abc import Callable

import trio

from consensus.model.task import Health
from runtime.engine.base import Engine
from runtime.health.plan import ProbePlan
from runtime.health.probes import Probes
from runtime.health.tracker import HISTORY_LENGTH, HealthRecord, HealthReport, HealthTracker

_MIN_PAUSE_S = 0.1
_WORST_FIRST = (Health.FAILED, Health.UNHEALTHY, Health.STARTING, Health.DEGRADED, Health.HEALTHY, Health.UNKNOWN)

Changed = Callable[[Health, str], None]
"""Told each change of the verdict, with the words of the probe that made it."""


class Prober:
    """`start` and `stop` probes; `report` tells what is known, also after the end of a run.

    A task is probed by its app's check and by its service's, each on its own (`of_service`).
    """

    def __init__(self, engine: Engine, *, now_s: Callable[[], float]) -> None:
        self._probes = Probes(engine)
        self._now_s = now_s
        self._scopes: dict[tuple[str, bool], trio.CancelScope] = {}
        self._trackers: dict[tuple[str, bool], HealthTracker] = {}
        self._notes: dict[str, HealthRecord] = {}

    def start(
        self,
        nursery: trio.Nursery,
        task_id: str,
        plan: ProbePlan,
        *,
        of_service: bool,
        health: Health,
        changed: Changed,
    ) -> None:
        """Probe in `nursery` until `stop`. The history goes on over the runs of a container."""
        key = task_id, of_service
        self._stop(key)
        before = self._trackers.get(key)
        history = before.history if before is not None else ()
        tracker = HealthTracker(plan.rules, started_at_s=self._now_s(), health=health, history=history)
        self._trackers[key] = tracker
        scope = self._scopes[key] = trio.CancelScope()
        nursery.start_soon(self._probe, scope, tracker, plan, changed)

    def note(self, task_id: str, health: Health, message: str) -> None:
        """Keep what is known without a probe: that it runs unchecked, that it ended."""
        record = HealthRecord(self._now_s(), health, message)
        tracker = self._trackers.get((task_id, False))
        if tracker is None:
            self._notes[task_id] = record
        else:
            tracker.health = health
            tracker.history.appendleft(record)

    def stop(self, task_id: str) -> None:
        self._stop((task_id, False))
        self.stop_service(task_id)

    def stop_service(self, task_id: str) -> None:
        """Its service is no longer checked; what was found goes with the check."""
        self._stop((task_id, True))
        self._trackers.pop((task_id, True), None)

    def _stop(self, key: tuple[str, bool]) -> None:
        scope = self._scopes.pop(key, None)
        if scope is not None:
            scope.cancel()

    def forget(self, task_id: str) -> None:
        self.stop(task_id)
        self._trackers.pop((task_id, False), None)
        self._notes.pop(task_id, None)

    def report(self, task_id: str) -> HealthReport | None:
        """None: this node has never run the task."""
        trackers = [self._trackers.get((task_id, of_service)) for of_service in (False, True)]
        reports = [tracker.report() for tracker in trackers if tracker is not None]
        if not reports:
            note = self._notes.get(task_id)
            if note is None:
                return None
            return HealthReport(health=note.health, last_check_s=note.timestamp_s, history=[note])
        history = sorted((record for report in reports for record in report.history), key=lambda r: -r.timestamp_s)
        return HealthReport(
            health=min((report.health for report in reports), key=_WORST_FIRST.index),
            last_check_s=max(report.last_check_s or 0.0 for report in reports) or None,
            consecutive_failures=max(report.consecutive_failures for report in reports),
            history=history[:HISTORY_LENGTH],
        )

    async def _probe(self, scope: trio.CancelScope, tracker: HealthTracker, plan: ProbePlan, changed: Changed) -> None:
        with scope:
            while True:
                await trio.sleep(max(_MIN_PAUSE_S, tracker.pause_s(self._now_s())))
                before = tracker.health
                result = await self._probes.probe(plan.target, timeout_s=plan.rules.timeout_s)
                if result is None:
                    continue
                after = tracker.record(passed=result.passed, message=result.message, now_s=self._now_s())
                if after is not before:
                    changed(after, result.message)
