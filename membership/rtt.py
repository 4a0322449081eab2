"""Round-trip times, smoothed per member, from the direct probes."""

from __future__ import annotations

GAIN = 1 / 8
"""Weight of a new sample (RFC 6298 §2)."""


class RoundTrips:
    """The smoothed round trip to each member that was probed."""

    def __init__(self) -> None:
        self._smoothed_s: dict[str, float] = {}

    def add(self, name: str, rtt_s: float) -> None:
        """Count a sample."""
        before_s = self._smoothed_s.get(name)
        self._smoothed_s[name] = rtt_s if before_s is None else before_s + GAIN * (rtt_s - before_s)

    def get(self, name: str) -> float | None:
        """The smoothed round trip in seconds, or None before the first sample."""
        return self._smoothed_s.get(name)

    def forget(self, name: str) -> None:
        """Drop a member that is gone."""
        self._smoothed_s.pop(name, None)
