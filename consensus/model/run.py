"""Runs: work that is done once. Each wants some tasks to end well; what they wrote is kept until it is forgotten.

A job makes runs; whoever else needs a command run to its end somewhere makes one too. `owner` is what its tasks have
as their `app`, and (owner, revision) finds their spec.
"""

from __future__ import annotations

import enum

from msgspec import Struct

LONGEST_RETRY_DELAY_S = 360.0
"""Kubernetes' limit for jobs."""


class RunStatus(enum.StrEnum):
    """`stopped`: ended by hand, or by a later run that takes its place."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def finished(self) -> bool:
        return self is not RunStatus.RUNNING


class RunPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`completions` tasks must end well, at most `parallelism` at a time, `timeout_s` after the run's beginning.

    Every attempt that began and did not end well counts, but for those that the cluster stopped (a drain): the run
    fails with the first one beyond `backoff_limit`. With 0, nothing is ever begun a second time: there those count,
    too. The first retry waits `retry_delay_s`, each further one twice as long.
    """

    completions: int = 1
    parallelism: int = 1
    backoff_limit: int = 6
    retry_delay_s: float = 10.0
    timeout_s: float | None = None

    def delay_s(self, failures: int) -> float:
        """The pause after so many failures."""
        return min(LONGEST_RETRY_DELAY_S, self.retry_delay_s * 2.0 ** min(failures - 1, 30))


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Slots of its tasks count from 1 to `completions`; those in `completed` have ended well.

    Attributes:
        number: counts the runs of one owner, from 1.
        reason: what it was begun for, in a word: ``schedule``, ``manual``, ``created``.
        scheduled_at_s: the instant of the schedule that it stands for, in Unix seconds.
        free_at_s: since when nothing of earlier runs is in its way, where it had to wait for that; infinity: it waits.
        retry_at_s: no attempt begins before.
        message: why it failed or was stopped, what it waits for, or what the last failed attempt said.
    """

    id: str
    owner: str
    revision: int
    policy: RunPolicy = RunPolicy()
    number: int = 1
    reason: str = ""
    scheduled_at_s: float | None = None
    created_at_s: float
    free_at_s: float = 0.0
    status: RunStatus = RunStatus.RUNNING
    message: str = ""
    failures: int = 0
    completed: tuple[int, ...] = ()
    retry_at_s: float = 0.0
    finished_at_s: float | None = None

    @property
    def ends_by_s(self) -> float:
        """When it is out of time; what it waited for others does not count."""
        began_at_s = max(self.created_at_s, self.free_at_s)
        return float("inf") if self.policy.timeout_s is None else began_at_s + self.policy.timeout_s

    @property
    def waits(self) -> bool:
        """For what is left of earlier runs."""
        return self.free_at_s == float("inf")
