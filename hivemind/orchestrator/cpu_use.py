"""How many cores the replicas of an app use, from readings of their counters. Bookkeeping only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from msgspec import Struct

from runtime.engine.base import CpuTime

WINDOW_S = 15.0
"""Over which the use is averaged, where there are readings: as Kubernetes' metrics server does."""
FRESH_S = 15.0
"""A task of which nothing newer was read is not measured."""
SHORTEST_S = 0.5
"""Between two readings that make a rate: the counters tick."""


class _Reading(Struct, frozen=True):
    heard_s: float
    time: CpuTime


class CpuUse:
    """`now_s` is the reader's monotonic clock; the instants of the readings are their node's."""

    def __init__(self) -> None:
        self._readings: dict[str, list[_Reading]] = {}

    def note(self, times: Mapping[str, CpuTime], now_s: float) -> None:
        """Takes in what was read, by task id."""
        for task_id, time in times.items():
            known = self._readings.setdefault(task_id, [])
            # A container that was started again counts from nothing; a clock may be set back.
            if known and (time.cpu_s < known[-1].time.cpu_s or time.at_s < known[-1].time.at_s):
                known.clear()
            if not known or time.at_s > known[-1].time.at_s:
                known.append(_Reading(now_s, time))
            while len(known) > 2 and known[1].heard_s <= now_s - WINDOW_S:
                del known[0]

    def cores(self, task_ids: Iterable[str], now_s: float) -> dict[str, float]:
        """Used of late by each of these tasks; those of which that is not known are left out.

        All are averaged over the same time, or work that has gone from one to another would count twice.
        """
        known = {task_id: self._readings.get(task_id, []) for task_id in task_ids}
        known = {
            task_id: readings
            for task_id, readings in known.items()
            if readings and now_s - readings[-1].heard_s <= FRESH_S and _rate(readings, 0.0) is not None
        }
        since_s = max((readings[0].heard_s for readings in known.values()), default=0.0)
        rates = {task_id: _rate(readings, since_s) for task_id, readings in known.items()}
        return {task_id: rate for task_id, rate in rates.items() if rate is not None}

    def keep_only(self, task_ids: Set[str]) -> None:
        """Forgets all others."""
        self._readings = {task_id: known for task_id, known in self._readings.items() if task_id in task_ids}


def _rate(readings: list[_Reading], since_s: float) -> float | None:
    """Cores, from the readings heard since then; None where they are too close to each other."""
    first = next((reading.time for reading in readings if reading.heard_s >= since_s), None)
    last = readings[-1].time
    if first is None or last.at_s - first.at_s < SHORTEST_S:
        return None
    return (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)
