"""Runs the health checks of this node's containers and keeps their results."""

from __future__ import annotations

from collections.abc import Callable

import trio

from consensus.model.app_spec import HealthCheck
from consensus.model.task import Health
from runtime.engine.base import Engine
from runtime.engine.errors import ContainerNotFound, ContainerNotRunning, EngineError, EngineUnavailable
from runtime.health.tracker import HealthRecord, HealthReport, HealthTracker

_MESSAGE_BYTES = 512
_MIN_PAUSE_S = 0.1


class Prober:
    """`start` and `stop` a task's probes; `report` tells what is known, also after the end of a run."""

    def __init__(self, engine: Engine, *, now_s: Callable[[], float]) -> None:
        self._engine = engine
        self._now_s = now_s
        self._scopes: dict[str, trio.CancelScope] = {}
        self._trackers: dict[str, HealthTracker] = {}
        self._unchecked: dict[str, HealthRecord] = {}

    def start(
        self,
        nursery: trio.Nursery,
        task_id: str,
        *,
        engine_id: str,
        check: HealthCheck | None,
        health: Health,
        changed: Callable[[Health], None],
    ) -> None:
        """Probe in `nursery` until `stop`; `changed` is told each change of the verdict."""
        self.stop(task_id)
        if check is None:
            self._unchecked[task_id] = HealthRecord(self._now_s(), health, "running; no health check is set")
            return
        before = self._trackers.get(task_id)
        tracker = self._trackers[task_id] = HealthTracker(
            check,
            started_at_s=self._now_s(),
            health=health,
            history=list(before.history) if before else None,
        )
        scope = self._scopes[task_id] = trio.CancelScope()
        nursery.start_soon(self._probe, scope, tracker, engine_id, check, changed)

    def stop(self, task_id: str) -> None:
        scope = self._scopes.pop(task_id, None)
        if scope is not None:
            scope.cancel()

    def forget(self, task_id: str) -> None:
        self.stop(task_id)
        self._trackers.pop(task_id, None)
        self._unchecked.pop(task_id, None)

    def report(self, task_id: str) -> HealthReport | None:
        """None: this node has never run the task."""
        tracker = self._trackers.get(task_id)
        if tracker is not None:
            return tracker.report()
        record = self._unchecked.get(task_id)
        if record is None:
            return None
        return HealthReport(health=record.health, last_check_s=record.timestamp_s, history=[record])

    async def _probe(
        self,
        scope: trio.CancelScope,
        tracker: HealthTracker,
        engine_id: str,
        check: HealthCheck,
        changed: Callable[[Health], None],
    ) -> None:
        with scope:
            while True:
                await trio.sleep(max(_MIN_PAUSE_S, tracker.pause_s(self._now_s())))
                before = tracker.health
                result = await self._run(engine_id, check)
                if result is None:
                    continue
                passed, message = result
                if tracker.record(passed=passed, message=message, now_s=self._now_s()) is not before:
                    changed(tracker.health)

    async def _run(self, engine_id: str, check: HealthCheck) -> tuple[bool, str] | None:
        """Whether the probe passed, and its words; None where it says nothing of the container."""
        try:
            result = await self._engine.exec(engine_id, ("/bin/sh", "-c", check.command), timeout_s=check.timeout_s)
        except TimeoutError:
            return False, f"no end within {check.timeout_s:g} s"
        except (ContainerNotRunning, ContainerNotFound, EngineUnavailable):
            return None
        except EngineError as error:
            return False, str(error)
        if result.exit_code == 0:
            return True, ""
        output = result.output[-_MESSAGE_BYTES:].decode(errors="replace").strip()
        return False, f"exit code {result.exit_code}: {output}" if output else f"exit code {result.exit_code}"
