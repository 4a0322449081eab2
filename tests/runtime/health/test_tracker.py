"""Docker's HEALTHCHECK semantics (Dockerfile reference), and a load balancer's thresholds."""

from __future__ import annotations

import pytest

from consensus.model.task import Health
from runtime.health.plan import Rules
from runtime.health.tracker import FIRST_PROBE_S, HISTORY_LENGTH, START_INTERVAL_S, HealthTracker

CHECK = Rules(interval_s=30.0, timeout_s=5.0, unhealthy_threshold=3, start_period_s=60.0)


def _fail(tracker: HealthTracker, now_s: float) -> Health:
    return tracker.record(passed=False, message="no", now_s=now_s)


def test_a_pass_is_healthy_at_once_and_retries_failures_are_unhealthy() -> None:
    tracker = HealthTracker(CHECK, started_at_s=0.0)
    assert tracker.health is Health.STARTING
    assert tracker.record(passed=True, message="", now_s=1.0) is Health.HEALTHY
    assert [_fail(tracker, now_s) for now_s in (2.0, 3.0, 4.0)] == [Health.DEGRADED, Health.DEGRADED, Health.UNHEALTHY]
    assert tracker.record(passed=True, message="", now_s=5.0) is Health.HEALTHY
    assert tracker.consecutive_failures == 0


def test_failures_in_the_start_period_do_not_count() -> None:
    tracker = HealthTracker(CHECK, started_at_s=100.0)
    assert {_fail(tracker, 100.0 + n) for n in range(60)} == {Health.STARTING}
    assert [_fail(tracker, 160.0 + n) for n in range(3)][-1] is Health.UNHEALTHY


def test_the_first_probe_comes_soon_and_in_the_start_period_they_are_closer() -> None:
    tracker = HealthTracker(CHECK, started_at_s=0.0)
    assert tracker.pause_s(0.0) == FIRST_PROBE_S
    _fail(tracker, 1.0)
    assert tracker.pause_s(1.0) == START_INTERVAL_S
    assert tracker.pause_s(61.0) == 30.0
    tracker.record(passed=True, message="", now_s=2.0)
    assert tracker.pause_s(2.0) == 30.0


def test_the_newest_results_are_kept() -> None:
    tracker = HealthTracker(CHECK, started_at_s=0.0)
    assert tracker.report().last_check_s is None
    for n in range(HISTORY_LENGTH + 10):
        _fail(tracker, 100.0 + n)
    report = tracker.report()
    assert len(report.history) == HISTORY_LENGTH
    assert report.history[0].timestamp_s == report.last_check_s == 100.0 + HISTORY_LENGTH + 9
    assert report.consecutive_failures == HISTORY_LENGTH + 10


@pytest.mark.parametrize(("health", "after"), [(Health.HEALTHY, Health.DEGRADED), (Health.UNHEALTHY, Health.UNHEALTHY)])
def test_an_adopted_container_keeps_its_health_until_probes_say_otherwise(health: Health, after: Health) -> None:
    tracker = HealthTracker(CHECK, started_at_s=0.0, health=health)
    assert tracker.health is health
    assert _fail(tracker, 100.0) is after


def test_what_was_unhealthy_needs_as_many_passes_as_the_threshold_says() -> None:
    rules = Rules(interval_s=1.0, timeout_s=1.0, healthy_threshold=2, unhealthy_threshold=2)
    tracker = HealthTracker(rules, started_at_s=0.0)

    def passes(now_s: float) -> Health:
        return tracker.record(passed=True, message="", now_s=now_s)

    assert passes(1.0) is Health.HEALTHY
    assert [_fail(tracker, 2.0), _fail(tracker, 3.0)] == [Health.DEGRADED, Health.UNHEALTHY]
    assert [passes(4.0), _fail(tracker, 5.0), passes(6.0)] == [Health.UNHEALTHY] * 3
    assert passes(7.0) is Health.HEALTHY
