"""Schedules: the instants that a line of cron means in a time zone. Pure: the present is handed in.

cronsim reads the line and knows Debian cron's rules for the hours that a change of the clock leaves out or repeats.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def _line(schedule: str) -> str:
    return _NICKNAMES.get(schedule.strip().lower(), schedule)


def _moment(time_s: float, time_zone: str) -> datetime:
    return datetime.fromtimestamp(time_s, UTC if time_zone == "UTC" else ZoneInfo(time_zone))


def schedule_problems(schedule: str, time_zone: str) -> Iterator[tuple[str, str]]:
    """Pairs of the job's field and what was expected there."""
    try:
        if next(CronSim(_line(schedule), _SOME_DAY), None) is None:
            yield "schedule", f"expected a line that is ever due, got {schedule!r}"
    except CronSimError as error:
        text = "expected minute hour day-of-month month day-of-week, such as */5 * * * *, or a nickname such as @daily"
        yield "schedule", f"{text}; got {schedule!r}: {str(error).lower()}"
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        yield "time_zone", f"expected the name of a time zone such as Europe/Berlin, got {time_zone!r}"


def next_due_s(schedule: str, time_zone: str, after_s: float) -> float:
    """The first instant after `after_s`, in Unix seconds; infinity where there is none."""
    found = next(CronSim(_line(schedule), _moment(after_s, time_zone)), None)
    return float("inf") if found is None else found.timestamp()


def last_due_s(schedule: str, time_zone: str, after_s: float, until_s: float) -> float | None:
    """The last instant after `after_s` and not after `until_s`; None where there is none."""
    found = next_due_s(schedule, time_zone, after_s)
    if found > until_s:
        return None
    # The library looks back exactly, too, but not at the instant itself: hence from just behind it.
    back = next(CronSim(_line(schedule), _moment(int(until_s) + 1, time_zone), reverse=True), None)
    return found if back is None else max(found, back.timestamp())
