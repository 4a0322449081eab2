"""Work that the replicas of an app share evenly, as the counters of a played cluster show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from consensus.state import State
from runtime.engine.base import CpuTime


class CpuLoad:
    """`cores`: how many each app keeps busy, whatever the number of its replicas."""

    def __init__(self) -> None:
        self.cores: dict[str, float] = {}
        self._used_s: defaultdict[str, float] = defaultdict(float)
        self._until_s = 0.0

    def read(self, state: State, task_ids: Iterable[str], now_s: float) -> dict[str, CpuTime]:
        """The counters of these tasks."""
        passed_s, self._until_s = now_s - self._until_s, now_s
        for app, cores in self.cores.items():
            tasks = [task for task in state.tasks_of_app(app) if task.serving]
            for task in tasks:
                self._used_s[task.id] += cores / len(tasks) * passed_s
        return {task_id: CpuTime(now_s, self._used_s[task_id]) for task_id in task_ids}
