"""How many replicas an app has, left to the cluster: by the CPU that they use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from consensus.model.quantity import Duration, duration_problems, duration_s

Bound = Annotated[int, Meta(ge=1, le=100_000)]


class Autoscale(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Between `min` and `max` replicas, so many that they use about `cpu_target` percent of what they request.

    Percent are of `resources.cpu`; where an app requests none, of one core.

    Attributes:
        tolerance: nothing is changed while the use is off its target by less than this share of it (Kubernetes: 0.1).
        up_window: the number rises to the least that was called for in this time; so a short peak changes nothing.
        down_window: the number falls to the most that was called for in this time (Kubernetes: 5 minutes).
    """

    min: Bound
    max: Bound
    cpu_target: Annotated[int, Meta(ge=1, le=1000)]
    tolerance: Annotated[float, Meta(ge=0, le=0.9)] = 0.1
    up_window: Duration = 0
    down_window: Duration = "5m"

    @property
    def up_window_s(self) -> float:
        return duration_s(self.up_window)

    @property
    def down_window_s(self) -> float:
        return duration_s(self.down_window)

    def within(self, replicas: int) -> int:
        """The number nearest to `replicas` that is allowed."""
        return max(self.min, min(self.max, replicas))

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field and what was expected there."""
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min}), got {self.max}"
        yield from duration_problems(self, ("up_window", "down_window"))


class Autoscaled(Struct, frozen=True, kw_only=True):
    """The last time that an app was scaled by its use."""

    at_s: float
    previous_replicas: int
    replicas: int
    reason: str
