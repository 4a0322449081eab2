"""Whether, and when, a container that ended is started again, by its app's restart policy. Pure."""

from __future__ import annotations

from collections import deque

from consensus.model.restart import RestartPolicy
from runtime.backoff import Backoff

STEADY_AFTER_S = 10.0
"""After a run of so long the pauses begin anew, as Docker's do."""


class Restarts:
    """Of one task. Times are of any steady clock."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._backoff = Backoff(first_s=policy.backoff_s, last_s=policy.max_backoff_s)
        self._recent_s: deque[float] = deque()

    def heals(self) -> bool:
        """Whether an unhealthy container is stopped, so that it is started again."""
        return self._policy.policy != "no"

    def why_final(self, *, failed: bool, restart_count: int, now_s: float) -> str | None:
        """Why an end is the last one; "" where that needs no words, None where a restart follows."""
        policy = self._policy
        if policy.policy == "no" or (policy.policy == "on-failure" and not failed):
            return ""
        if policy.max_attempts is None:
            return None
        window_s = policy.window_s
        if window_s is None:
            used = restart_count
        else:
            while self._recent_s and self._recent_s[0] <= now_s - window_s:
                self._recent_s.popleft()
            used = len(self._recent_s)
        if used < policy.max_attempts:
            return None
        within = "" if window_s is None else f" within {window_s:g} s"
        return f"given up after {used} restarts{within}"

    def pause_s(self, *, ran_s: float, now_s: float) -> float:
        """The pause before the restart that follows now, after a run of `ran_s` that did not end by its own fault."""
        if ran_s >= STEADY_AFTER_S:
            self._backoff.reset()
        if self._policy.window_s is not None:
            self._recent_s.append(now_s)
        return self._backoff.next_s()
