"""Circuit breaking: an endpoint to which connections fail is left out for a while, then tried again. Pure."""

from __future__ import annotations

from msgspec import Struct

AVOID_S = 5.0
"""How long an endpoint is passed over after a failed dial; about what a node needs to be found lost."""
LONGEST_AVOID_S = 60.0


class _Failures(Struct, frozen=True):
    count: int
    until_s: float


class Circuit:
    """The endpoints of one front, by key. From `threshold` failures in a row on, each pause is twice the last."""

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self._failures: dict[str, _Failures] = {}

    def keep(self, keys: set[str]) -> None:
        """Forgets the others."""
        self._failures = {key: failures for key, failures in self._failures.items() if key in keys}

    def failed(self, key: str, now_s: float) -> None:
        known = self._failures.get(key)
        count = 1 if known is None else known.count + 1
        doublings = min(10, max(0, count - self.threshold))
        pause_s = min(LONGEST_AVOID_S, AVOID_S * 2**doublings)
        self._failures[key] = _Failures(count, now_s + pause_s)

    def worked(self, key: str) -> None:
        self._failures.pop(key, None)

    def is_open(self, key: str, now_s: float) -> bool:
        """Whether nothing should be sent there now."""
        failures = self._failures.get(key)
        return failures is not None and now_s < failures.until_s

    def broken(self, now_s: float) -> list[str]:
        """The endpoints that are left out, having failed `threshold` times or more."""
        return [k for k, f in self._failures.items() if f.count >= self.threshold and now_s < f.until_s]
