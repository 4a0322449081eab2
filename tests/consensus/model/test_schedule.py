"""Schedules: the instants of cron lines, also where the clock is changed (Debian cron's rules, by cronsim)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.model.job import JobSpec
from consensus.model.schedule import last_due_s, next_due_s, schedule_problems


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_an_instant_is_after_the_last_and_in_its_zone() -> None:
    assert next_due_s("*/5 * * * *", "UTC", at("2026-01-01T10:00")) == at("2026-01-01T10:05")
    assert next_due_s("30 9 * * MON", "Europe/Berlin", at("2026-01-01T00:00")) == at("2026-01-05T08:30")
    assert next_due_s("@daily", "UTC", at("2026-01-01T10:00")) == at("2026-01-02T00:00")
    assert next_due_s("*/10 * * * * *", "UTC", at("2026-01-01T10:00")) == at("2026-01-01T10:00:10")


def test_a_leaderless_time_is_made_up_for_once() -> None:
    since, now = at("2026-01-01T10:01"), at("2026-01-01T12:34:56")
    assert last_due_s("*/5 * * * *", "UTC", since, now) == at("2026-01-01T12:30")
    assert last_due_s("*/5 * * * *", "UTC", at("2026-01-01T12:30"), now) is None
    assert last_due_s("*/5 * * * *", "UTC", since, at("2026-01-01T10:05")) == at("2026-01-01T10:05")


def test_an_hour_that_is_left_out_or_repeated_counts_once() -> None:
    """Berlin, 2026: 02:30 does not exist on 29 March, and comes twice on 25 October."""
    spring = next_due_s("30 2 * * *", "Europe/Berlin", at("2026-03-28T12:00"))
    assert spring == at("2026-03-29T01:00")
    assert next_due_s("30 2 * * *", "Europe/Berlin", spring) == at("2026-03-30T00:30")
    autumn = next_due_s("30 2 * * *", "Europe/Berlin", at("2026-10-24T12:00"))
    assert autumn == at("2026-10-25T00:30")
    assert next_due_s("30 2 * * *", "Europe/Berlin", autumn) == at("2026-10-26T01:30")


@given(
    st.sampled_from(["*/5 * * * *", "0 3 * * *", "15,45 2 * * SUN", "*/20 * * * * *", "@hourly", "30 2 L * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.floats(1.7e9, 1.9e9),
    st.floats(0, 1e6),
)
@settings(max_examples=60, deadline=None)
def test_the_last_instant_is_the_one_that_counting_finds(line: str, zone: str, after_s: float, span_s: float) -> None:
    until_s = after_s + span_s if line.count(" ") < 5 else after_s + span_s / 500
    found, at_s = None, next_due_s(line, zone, after_s)
    while at_s <= until_s:
        found, at_s = at_s, next_due_s(line, zone, at_s)
    assert last_due_s(line, zone, after_s, until_s) == found


@pytest.mark.parametrize(
    ("line", "zone", "field"),
    [
        ("* * * *", "UTC", "schedule"),
        ("61 * * * *", "UTC", "schedule"),
        ("0 0 30 2 *", "UTC", "schedule"),
        ("tomorrow", "UTC", "schedule"),
        ("@daily", "Mars/Base", "time_zone"),
        ("@daily", "../etc/passwd", "time_zone"),
    ],
)
def test_what_is_no_schedule_is_told_by_its_field(line: str, zone: str, field: str) -> None:
    assert [name for name, _ in schedule_problems(line, zone)] == [field]


def test_what_only_a_schedule_needs_is_refused_without_one() -> None:
    spec = JobSpec(name="once", image="busybox", concurrency_policy="forbid", timeout=0, retry_delay="soon")
    assert [name for name, _ in spec.problems()] == ["retry_delay", "timeout", "concurrency_policy"]
