"""Suspicion with a dynamic timeout (Lifeguard §IV-B, on SWIM §4.2).

A suspect has time to refute. How much depends on who suspects it: with one accuser it may be the accuser who is
ill, so it starts long (max); each independent accuser makes it likelier that the suspect is really gone, and
after k of them only the shortest time (min) is left:

    timeout = max - (max - min) · log(confirmations + 1) / log(k + 1)
"""

from __future__ import annotations

import math

from membership.config import SwimConfig


def shortest_suspicion_s(config: SwimConfig, live_members: int) -> float:
    """mult · max(1, log10 n) · probe interval, in seconds: gossip needs O(log n) rounds there and back."""
    scale = max(1.0, math.log10(max(1, live_members)))
    return config.suspicion_mult * scale * config.probe_interval_s


def confirmations_wanted(config: SwimConfig, live_members: int) -> int:
    """k: accusers besides the first that bring the timeout to its minimum.

    `suspicion_confirmations`, or suspicion_mult - 2 as in memberlist; and 0 where the cluster has not that many
    members besides the suspect and the first accuser: waiting for witnesses who do not exist would only delay.
    """
    wanted = config.suspicion_confirmations
    if wanted is None:
        wanted = int(config.suspicion_mult) - 2
    return wanted if 1 <= wanted <= live_members - 2 else 0


class Suspicion:
    """One running suspicion of one incarnation of a member."""

    def __init__(
        self, config: SwimConfig, *, incarnation: int, accuser: str, live_members: int, started_s: float
    ) -> None:
        self.incarnation = incarnation
        self.generation = 0
        self._accusers = {accuser}
        self._wanted = confirmations_wanted(config, live_members)
        self._started_s = started_s
        self._min_s = shortest_suspicion_s(config, live_members)
        self._max_s = self._min_s * config.suspicion_max_mult

    def confirm(self, accuser: str) -> bool:
        """Count an accuser. True if it is a new one and still brings the deadline nearer."""
        if accuser in self._accusers or len(self._accusers) > self._wanted:
            return False
        self._accusers.add(accuser)
        self.generation += 1
        return True

    @property
    def deadline_s(self) -> float:
        """When the suspect is declared dead if it has not refuted."""
        return self._started_s + self._timeout_s()

    def _timeout_s(self) -> float:
        if self._wanted == 0:
            return self._min_s
        share = math.log(len(self._accusers)) / math.log(self._wanted + 1)
        return max(self._min_s, self._max_s - (self._max_s - self._min_s) * share)
