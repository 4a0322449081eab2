"""What a row of probe results means: Docker's HEALTHCHECK and a load balancer's thresholds, as a pure object.

Sources: Dockerfile reference, HEALTHCHECK (a pass is healthy at once; so many failures in a row are unhealthy; failures
within `start_period` of the start do not count unless a probe has passed before); AWS, "Health checks for target
groups" (a new target needs one pass, one that was unhealthy needs `healthy_threshold` of them).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct

from consensus.model.task import Health
from runtime.health.plan import Rules

HISTORY_LENGTH = 50
FIRST_PROBE_S = 1.0
"""The first probe comes after this (or the interval, where that is shorter): Docker's waits a whole interval, and
keeps a container that is ready from serving for as long."""
START_INTERVAL_S = 5.0
"""Between probes until the first pass, as Docker's default `start-interval`."""


class HealthRecord(Struct, frozen=True):
    """One probe and what the container's health was after it. `message` is empty for a pass."""

    timestamp_s: float
    health: Health
    message: str = ""


class HealthReport(Struct, frozen=True, kw_only=True):
    """What the owning node keeps about a task's health; newest record first."""

    health: Health
    last_check_s: float | None = None
    consecutive_failures: int = 0
    history: list[HealthRecord] = []


class HealthTracker:
    """The health of one run of a container, by one check."""

    def __init__(
        self,
        rules: Rules,
        *,
        started_at_s: float,
        health: Health = Health.STARTING,
        history: Iterable[HealthRecord] = (),
    ) -> None:
        self._rules = rules
        self._started_at_s = started_at_s
        self._passed = health.serves
        self._passes = 0
        self.health = health
        self.consecutive_failures = 0
        self.history: deque[HealthRecord] = deque(history, maxlen=HISTORY_LENGTH)
        self._probed = False

    def record(self, *, passed: bool, message: str, now_s: float) -> Health:
        """Takes a probe's result at `now_s` (the clock of `started_at_s`); the health after it."""
        self._probed = True
        if passed:
            self.consecutive_failures, self._passed = 0, True
            self._passes += 1
            if self.health is not Health.UNHEALTHY or self._passes >= self._rules.healthy_threshold:
                self.health = Health.HEALTHY
        elif self._passed or not self._starting(now_s):
            self.consecutive_failures += 1
            self._passes = 0
            if self.consecutive_failures >= self._rules.unhealthy_threshold:
                self.health = Health.UNHEALTHY
            elif self.health is Health.HEALTHY:
                self.health = Health.DEGRADED
        self.history.appendleft(HealthRecord(now_s, self.health, "" if passed else message))
        return self.health

    def pause_s(self, now_s: float) -> float:
        """How long to wait before the next probe."""
        interval_s = self._rules.interval_s
        if not self._probed:
            return min(interval_s, FIRST_PROBE_S)
        if not self._passed and self._starting(now_s):
            return min(interval_s, START_INTERVAL_S)
        return interval_s

    def report(self) -> HealthReport:
        return HealthReport(
            health=self.health,
            last_check_s=self.history[0].timestamp_s if self.history else None,
            consecutive_failures=self.consecutive_failures,
            history=list(self.history),
        )

    def _starting(self, now_s: float) -> bool:
        return now_s - self._started_at_s < self._rules.start_period_s
