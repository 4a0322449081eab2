"""When news are sent besides the probes, and to whom.

Memberlist gossips on a fixed tick. Here the first news after a quiet time leave at once, and what comes after waits
for the rest of the gossip interval, but for a short burst. The load is the same (as many transmissions of each), but
a rumour crosses the cluster in a few round trips rather than in as many ticks, and who has nothing to say does not
wake up. Vitals alone wait a random part of an interval, so that they travel together.
"""

from __future__ import annotations

from membership.config import SwimConfig
from membership.dissemination import BroadcastQueue
from membership.effects import Effect, StartTimer
from membership.member import MemberState, MemberTable
from membership.packing import PacketWriter
from membership.randomness import Randomness
from membership.rotation import Rotation
from membership.timers import GossipTick, VitalsTick

VITALS_PACE = 2
"""Vitals wait up to so many gossip intervals for each other."""


BURST_PACE = 1 / 8
"""Rounds of a burst follow each other after this share of the interval."""


class Gossip:
    """Rounds of gossip, paced by `gossip_interval_s`."""

    def __init__(
        self,
        config: SwimConfig,
        own_name: str,
        table: MemberTable,
        writer: PacketWriter,
        urgent: tuple[BroadcastQueue, ...],
        vitals: BroadcastQueue,
        effects: list[Effect],
        rng: Randomness,
    ) -> None:
        self._config = config
        self._own_name = own_name
        self._table = table
        self._writer = writer
        self._urgent = urgent
        self._vitals = vitals
        self._effects = effects
        self._rng = rng
        self.order = Rotation(rng)
        self._paced = False
        self._burst_left = float(config.gossip_burst)
        self._burst_counted_s = 0.0
        self._vitals_paced = False
        self._puts_seen = 0
        self._vitals_puts_seen = 0

    def wake(self) -> None:
        """Start what must be started after something was queued."""
        puts = sum(queue.puts for queue in self._urgent)
        if puts != self._puts_seen:
            self._puts_seen = puts
            if not self._paced:
                self._paced = True
                self._effects.append(StartTimer(GossipTick(), 0.0))
        if self._vitals.puts != self._vitals_puts_seen:
            self._vitals_puts_seen = self._vitals.puts
            if not self._vitals_paced:
                self._vitals_paced = True
                delay_s = VITALS_PACE * self._config.gossip_interval_s * self._rng.random()
                self._effects.append(StartTimer(VitalsTick(), delay_s))

    def tick(self, now_s: float) -> None:
        """Send news, and go on until there are none; without anybody to send to, the next news start it again."""
        self._paced = (any(self._urgent) or bool(self._vitals)) and self._round(now_s)
        if self._paced:
            self._effects.append(StartTimer(GossipTick(), self._pause_s(now_s)))

    def _pause_s(self, now_s: float) -> float:
        """Until the next round: short while news are left and the burst allows it."""
        interval_s = self._config.gossip_interval_s
        earned = (now_s - self._burst_counted_s) / interval_s
        self._burst_left = min(float(self._config.gossip_burst), self._burst_left + earned)
        self._burst_counted_s = now_s
        if self._burst_left < 1 or not any(self._urgent):
            return interval_s
        self._burst_left -= 1
        return interval_s * BURST_PACE

    def vitals_tick(self, now_s: float) -> None:
        """Send the vitals that did not find room on other packets."""
        self._vitals_paced = bool(self._vitals) and self._round(now_s)
        if self._vitals_paced:
            self._effects.append(StartTimer(VitalsTick(), VITALS_PACE * self._config.gossip_interval_s))

    def _round(self, now_s: float) -> bool:
        """Send to a few members, among them the lately dead, who may be wrongly so. False if there is nobody."""
        dead_since_s = now_s - self._config.gossip_to_dead_s
        chosen: set[str] = set()

        def wanted(name: str) -> bool:
            if name in chosen or name == self._own_name:
                return False
            member = self._table.members[name]
            return member.is_live or (member.state is MemberState.DEAD and member.state_since_s > dead_since_s)

        for _ in range(self._config.gossip_nodes):
            name = self.order.next(wanted)
            if name is None:
                break
            chosen.add(name)
            self._writer.send(self._table.members[name].endpoint, name)
        return bool(chosen)
