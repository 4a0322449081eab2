"""Round-trip times from the direct probes: smoothed per member, what is usual here, and how they are distributed."""

from __future__ import annotations

from bisect import bisect_left

GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 4
"""Weights of a new sample, and how far from the mean the unusual begins (RFC 6298 §2)."""

SAMPLES_BEFORE_USUAL = 8
"""With fewer round trips nothing is said of what is usual."""

BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Upper bounds of the histogram; one more bucket takes what is above."""


class RoundTrips:
    """The round trips of this member's probes."""

    def __init__(self) -> None:
        self._smoothed_s: dict[str, float] = {}
        self._mean_s = 0.0
        self._deviation_s = 0.0
        self._samples = 0
        self.sum_s = 0.0
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        """Samples at most as long as the bound of the same place in BUCKETS_S and longer than the one before."""

    def add(self, name: str, rtt_s: float) -> None:
        """Count a sample."""
        before_s = self._smoothed_s.get(name)
        self._smoothed_s[name] = rtt_s if before_s is None else before_s + GAIN * (rtt_s - before_s)
        self.sum_s += rtt_s
        self.buckets[bisect_left(BUCKETS_S, rtt_s)] += 1
        self._samples += 1
        if self._samples == 1:
            self._mean_s, self._deviation_s = rtt_s, rtt_s / 2
        else:
            self._deviation_s += DEVIATION_GAIN * (abs(rtt_s - self._mean_s) - self._deviation_s)
            self._mean_s += GAIN * (rtt_s - self._mean_s)

    def get(self, name: str) -> float | None:
        """The smoothed round trip in seconds, or None before the first sample."""
        return self._smoothed_s.get(name)

    @property
    def usual_s(self) -> float | None:
        """An ack that takes longer than this is unusually late, whoever it comes from; None while too little is known.

        It is the same for all members: those far away make the deviation, and with it the patience, greater.
        """
        if self._samples < SAMPLES_BEFORE_USUAL:
            return None
        return self._mean_s + DEVIATIONS * self._deviation_s

    def forget(self, name: str) -> None:
        """Drop a member that is gone."""
        self._smoothed_s.pop(name, None)
