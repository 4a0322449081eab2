"""Lifeguard's local health multiplier (§IV-A): a member that hears too little doubts itself first.

A slow member (starved of CPU, or with a full socket buffer) sees acks late and would suspect everybody. It keeps
a score from 0 (healthy) up: a failed probe, a missing nack and a suspicion of itself that it must refute raise
it, a probe that works lowers it. Probe interval and timeout are stretched by score + 1.
"""

from __future__ import annotations


class Awareness:
    """The score, held between 0 and `multiplier_max - 1`."""

    def __init__(self, multiplier_max: int) -> None:
        self._highest = multiplier_max - 1
        self.score = 0

    def adjust(self, delta: int) -> None:
        """Raise (worse) or lower (better) the score."""
        self.score = max(0, min(self._highest, self.score + delta))

    def stretch(self, duration_s: float) -> float:
        """The duration, times the multiplier."""
        return duration_s * (self.score + 1)
