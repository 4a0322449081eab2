"""The agent's settings."""

from __future__ import annotations

from msgspec import Struct

_MOST_STARTS = 32


class AgentConfig(Struct, frozen=True, kw_only=True):
    """Defaults suit a machine with a few cores.

    Attributes:
        offline_start_after_s: without a leader for so long after the start, tasks are started from what this
            node last knew (design.md §2.5).
        parallel_starts: creates and starts at once; see `starts_for`.
        parallel_stops: stops mostly wait for the container's grace period, so many may.
        parallel_pulls: images pulled at once.
        report_batch_s: how long a status waits for others to share its log entry; under the time that a
            container takes to start.
        progress_batch_s: the same for one that is being prepared or started, or runs while others are, see
            `StatusReporter`; over that time.
        resync_s: a full listing of the containers as a safety net; events do the work.
        engine_retry_first_s, engine_retry_last_s: pauses while the engine does not answer.
    """

    offline_start_after_s: float = 60.0
    parallel_starts: int = 4
    parallel_stops: int = 32
    parallel_pulls: int = 3
    report_batch_s: float = 0.02
    progress_batch_s: float = 0.5
    resync_s: float = 30.0
    engine_retry_first_s: float = 0.2
    engine_retry_last_s: float = 5.0

    def validate(self) -> None:
        """Raises ValueError that names the wrong field."""
        for name in ("parallel_starts", "parallel_stops", "parallel_pulls"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("resync_s", "engine_retry_first_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if self.engine_retry_last_s < self.engine_retry_first_s:
            raise ValueError("engine_retry_last_s: expected at least engine_retry_first_s")


def starts_for(cpu_cores: float) -> int:
    """How many containers to start at once on a machine with so many cores.

    A start is 0.2 s of CPU with a little waiting in between. On 2 cores, 12 containers of one engine took 3.5 s one by
    one, 2.1 s with 4 at once, 2.4 s with 8, and 30 of three engines 5.5 s with 4 and 6.3 s (and an eighth more CPU)
    with 8 (scripts/bench/deploy.py --floor-parallel).
    """
    return min(_MOST_STARTS, round(cpu_cores) + 2)
