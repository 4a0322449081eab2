"""How an app gets from one revision to the next. Stored and returned as it was given: what was left out stays out.

Every kind knows `min_healthy` (a replica counts once it has served for so long), `progress_deadline` (without
progress for so long, the deployment has failed), `max_failure_ratio`, `on_failure` and `hooks`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from consensus.model.container import image_problems
from consensus.model.hook import Hooks
from consensus.model.image import Architectures, Digest, digest_problems
from consensus.model.quantity import Duration, duration_problems, duration_s

Amount = int | str
"""Of replicas: a number, or percents such as ``25%``."""
Percent = Annotated[int, Meta(ge=1, le=100)]
OnFailure = Literal["pause", "continue", "rollback"]

_AMOUNT = re.compile(r"(?P<number>[0-9]{1,9})(?P<percents>%?)")
UNCHECKED_MIN_HEALTHY_S = 0.5
"""For apps without a health check: long enough to see a command that ends at once."""


def amount(value: Amount, of: int, *, up: bool) -> int:
    """How many of `of` replicas `value` means; percents are rounded `up` or down.

    Raises:
        ValueError: it is neither a number nor percents.
    """
    match = _AMOUNT.fullmatch(str(value).strip())
    if match is None or (match["percents"] and int(match["number"]) > 100):
        given = repr(value) if len(str(value)) <= 20 else f"{str(value)[:20]}…"
        raise ValueError(f"expected a number of replicas or percents such as 25%, got {given}")
    if not match["percents"]:
        return int(match["number"])
    share = of * int(match["number"]) / 100
    return math.ceil(share) if up else math.floor(share)


class BaseStrategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    min_healthy: Duration | None = None
    progress_deadline: Duration | None = None
    max_failure_ratio: Annotated[float, Meta(ge=0, le=1)] | None = None
    on_failure: OnFailure | None = None
    hooks: Hooks | None = None

    def min_healthy_s(self, *, checked: bool) -> float:
        """`checked`: the app has a health check, and so its word is enough."""
        if self.min_healthy is None:
            return 0.0 if checked else UNCHECKED_MIN_HEALTHY_S
        return duration_s(self.min_healthy)

    @property
    def progress_deadline_s(self) -> float:
        """Kubernetes' default."""
        return 600.0 if self.progress_deadline is None else duration_s(self.progress_deadline)

    @property
    def failure_action(self) -> OnFailure:
        return self.on_failure or "rollback"

    @property
    def hold_s(self) -> float:
        """How long a complete step is left as it is before the next."""
        return 0.0

    @property
    def monitor_s(self) -> float:
        """How long the last replicas must have served before the deployment is complete."""
        return 0.0

    @property
    def manual(self) -> bool:
        """Whether each step waits for a promotion by hand."""
        return False

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field and what was expected there."""
        if self.hooks is not None:
            yield from ((f"hooks.{name}", text) for name, text in self.hooks.problems())
        names = [name for name in self.__struct_fields__ if name in _DURATIONS]
        unreadable = list(duration_problems(self, names, positive=_DEADLINES))
        yield from unreadable
        if not unreadable and self.min_healthy is not None:
            deadline_s = self.progress_deadline_s
            if duration_s(self.min_healthy) >= deadline_s:
                yield "min_healthy", f"expected less than the {deadline_s:g} s that progress may take: none would count"


_DEADLINES = ("progress_deadline", "verification_timeout")
_DURATIONS = (*_DEADLINES, "min_healthy", "batch_delay", "monitor", "keep_old", "interval", "duration")


class Simple(BaseStrategy, frozen=True, tag_field="type", tag="simple"):
    """Stops all, then starts the new: for what must not run twice."""


class RollingUpdate(BaseStrategy, frozen=True, tag_field="type", tag="rolling-update"):
    """Batch by batch. `max_surge` replicas more than wanted, `max_unavailable` fewer; a batch is both together."""

    max_unavailable: Amount | None = None
    max_surge: Amount | None = None
    order: Literal["start-first", "stop-first"] | None = None
    batch_delay: Duration | None = None
    monitor: Duration | None = None

    @property
    def stop_first(self) -> bool:
        return self.order == "stop-first"

    def at_once(self, replicas: int) -> tuple[int, int]:
        """How many of `replicas` may be more, and how many fewer, than wanted.

        As in Kubernetes: percents of the first are rounded up, of the second down, and where both come to nothing,
        one may be missing. By default a quarter: of those that are started first, or else of those that are stopped.
        """
        surge = None if self.max_surge is None else amount(self.max_surge, replicas, up=True)
        unavailable = None if self.max_unavailable is None else amount(self.max_unavailable, replicas, up=False)
        if unavailable is None:
            stops = self.stop_first or surge == 0
            unavailable = max(1, amount("25%", replicas, up=False)) if stops else 0
        if surge is None:
            surge = 0 if self.stop_first or unavailable else max(1, amount("25%", replicas, up=True))
        if self.stop_first or not surge:
            unavailable = max(1, unavailable)
        return surge, unavailable

    @property
    def hold_s(self) -> float:
        return 0.0 if self.batch_delay is None else duration_s(self.batch_delay)

    @property
    def monitor_s(self) -> float:
        return 2.0 if self.monitor is None else duration_s(self.monitor)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        sizes: dict[str, int] = {}
        for name in ("max_unavailable", "max_surge"):
            value = getattr(self, name)
            if value is not None:
                try:
                    sizes[name] = amount(value, 100, up=True)
                except ValueError as error:
                    yield name, str(error)
        if sizes.get("max_unavailable") == 0 and sizes.get("max_surge") == 0:
            yield "max_unavailable", "expected more than 0 where max_surge is 0: nothing could move"
        if self.stop_first and sizes.get("max_unavailable") == 0:
            yield "max_unavailable", "expected more than 0 with order stop-first: nothing could be stopped"


class BlueGreen(BaseStrategy, frozen=True, tag_field="type", tag="blue-green"):
    """A whole second set gets healthy without traffic; then all traffic goes there at once, in one commit.

    `verification_timeout`: the `progress_deadline`, by default 5 minutes. `keep_old`: how long the old set stays, so
    that a rollback is instant.
    """

    verification_timeout: Duration | None = None
    keep_old: Duration | None = None
    promotion: Literal["health", "manual"] | None = None

    @property
    def progress_deadline_s(self) -> float:
        given = self.progress_deadline if self.verification_timeout is None else self.verification_timeout
        return 300.0 if given is None else duration_s(given)

    @property
    def keep_old_s(self) -> float:
        return 60.0 if self.keep_old is None else duration_s(self.keep_old)

    @property
    def manual(self) -> bool:
        return self.promotion == "manual"

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if self.verification_timeout is not None and self.progress_deadline is not None:
            yield "progress_deadline", "expected none beside verification_timeout, which means the same"


class Canary(BaseStrategy, frozen=True, tag_field="type", tag="canary"):
    """`percentage` of the replicas first, then by `steps` (percentages, or how many equal steps) to all of them.

    Each step is left as it is for `interval`, or until a promotion by hand; with promotion `manual` only by hand.
    """

    percentage: Annotated[int, Meta(ge=1, le=99)] | None = None
    steps: list[Percent] | Annotated[int, Meta(ge=1, le=100)] | None = None
    interval: Duration | None = None
    promotion: Literal["health", "manual", "failure-ratio"] | None = None

    @property
    def percentages(self) -> list[int]:
        """Of every step, the last is 100."""
        first = self.percentage or 10
        if isinstance(self.steps, list):
            tail = self.steps if self.percentage is None or self.steps[:1] == [first] else [first, *self.steps]
        elif self.steps is not None and self.steps > 1:
            tail = [first + (100 - first) * i // (self.steps - 1) for i in range(self.steps)]
        else:
            tail = [first]
        return [*tail, *([] if tail[-1] == 100 else [100])]

    @property
    def hold_s(self) -> float:
        return 60.0 if self.interval is None else duration_s(self.interval)

    @property
    def manual(self) -> bool:
        return self.promotion == "manual"

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if self.steps == []:
            yield "steps", "expected at least one percentage"
        elif any(a >= b for a, b in pairwise(self.percentages)):
            first = self.percentages[0]
            wanted = "percentages that rise" if isinstance(self.steps, list) else "fewer steps"
            yield "steps", f"expected {wanted} (from {first}), got {self.steps}"
        if self.promotion == "failure-ratio" and self.max_failure_ratio is None:
            yield "max_failure_ratio", "required with promotion failure-ratio"


ONE_TEST = "a test names its own images, so POST /deployments begins each"
"""Why there can be no A/B test where an image, or a spec, is given already."""


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    image: Annotated[str, Meta(min_length=1, max_length=512)]
    image_digest: Digest = ""
    image_architectures: Architectures = field(default_factory=list)
    percentage: Percent
    name: Annotated[str, Meta(min_length=1, max_length=63)] | None = None


class ABTesting(BaseStrategy, frozen=True, tag_field="type", tag="ab-testing"):
    """Several images at once for `duration`, or until a promotion by hand (with winner `manual` only by that); then the
    winner takes all. What the variants leave stays as it is.

    The variants' images are those that count: another one, given beside them, is not used.
    """

    variants: Annotated[list[Variant], Meta(min_length=1, max_length=8)]
    duration: Duration | None = None
    winner: Literal["health", "manual"] | None = None

    @property
    def hold_s(self) -> float:
        return 3600.0 if self.duration is None else duration_s(self.duration)

    @property
    def manual(self) -> bool:
        return self.winner == "manual"

    @property
    def least_replicas(self) -> int:
        """One for each variant, and one of those that stay."""
        return len(self.variants) + (sum(variant.percentage for variant in self.variants) < 100)

    def name_of(self, number: int) -> str:
        """Of the variant with this place in the list; those without a name are called by letters."""
        return self.variants[number].name or "abcdefgh"[number]

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        for i, variant in enumerate(self.variants):
            yield from image_problems(f"variants[{i}].image", variant.image)
            yield from ((f"variants[{i}].{name}", text) for name, text in digest_problems(variant))
        total = sum(variant.percentage for variant in self.variants)
        if total > 100:
            yield "variants", f"expected percentages of 100 together at most, got {total}"
        names = [self.name_of(i) for i in range(len(self.variants))]
        if len(set(names)) < len(names):
            yield "variants", f"expected different names, got {', '.join(names)}"


Strategy = Simple | RollingUpdate | BlueGreen | Canary | ABTesting
