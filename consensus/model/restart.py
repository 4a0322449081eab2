"""Restart policies: what becomes of a replica that has ended, or is unhealthy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from consensus.model.quantity import Duration, duration_problems, duration_s


class RestartPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Restarts happen on the same node, in the same container.

    Attributes:
        policy: `always`; `on-failure`: not after an end with exit code 0; `no`: never, and an unhealthy replica is
            left as it is.
        max_attempts: so many restarts within `window` (without one: since the replica was made), then it is given up.
        backoff: the pause before the first restart, doubled each time up to `max_backoff`, and anew after a run
            that was steady. By default as Docker's: 100 ms up to a minute.
    """

    policy: Literal["always", "on-failure", "no"] = "always"
    max_attempts: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    window: Duration | None = None
    backoff: Duration = "100ms"
    max_backoff: Duration = "1m"

    @property
    def window_s(self) -> float | None:
        return None if self.window is None else duration_s(self.window)

    @property
    def backoff_s(self) -> float:
        return duration_s(self.backoff)

    @property
    def max_backoff_s(self) -> float:
        return duration_s(self.max_backoff)

    def problems(self) -> Iterator[tuple[str, str]]:
        found = list(duration_problems(self, ("window", "backoff", "max_backoff"), positive=("window", "backoff")))
        yield from found
        if not found and self.max_backoff_s < self.backoff_s:
            yield "max_backoff", f"expected at least backoff ({self.backoff}), got {self.max_backoff}"
        if self.window is not None and self.max_attempts is None:
            yield "window", "expected max_attempts with it: without, restarts have no limit"
