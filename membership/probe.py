"""The failure detector (SWIM §3 and §4.3, Lifeguard §IV-A).

In every protocol period one member is pinged. If its ack is late, k others are asked to ping it (an ack or a nack
comes back), and it is asked over the stream as well. If nobody has heard from it when the period ends, it becomes
suspect; sooner, if every helper says that it has not. Nacks tell a broken target from a broken self: helpers that
answer nothing at all point at us.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from membership.awareness import Awareness
from membership.config import SwimConfig
from membership.coordinates import Coordinates
from membership.counters import Counters
from membership.effects import Effect, Exchange, ProbeExchange, StartTimer
from membership.member import Address, Member, MemberState, MemberTable
from membership.messages import Ack, Nack, Ping, PingRequest, StreamPing, Suspect
from membership.packing import PacketWriter
from membership.randomness import Randomness
from membership.rotation import Rotation
from membership.rtt import RoundTrips
from membership.timers import DirectProbeTimeout, ProbePeriod, ProbeVerdict, RelayExpiry, RelayNack

PING_EXCHANGE = "ping"


class _Probe(msgspec.Struct):
    """The probe of the running period."""

    sequence: int
    target: Member
    sent_s: float
    verdict_s: float
    """Not before this time may the target be suspected."""
    acked: bool = False
    nacks_expected: int = 0
    nacked_by: set[str] = msgspec.field(default_factory=set)


class _Relay(msgspec.Struct):
    """A ping that we sent in another member's place."""

    requester: str
    address: Address
    sequence: int


class FailureDetector:
    """Probes others, and helps others to probe. `suspect` takes what it finds."""

    def __init__(
        self,
        config: SwimConfig,
        own_name: str,
        table: MemberTable,
        writer: PacketWriter,
        awareness: Awareness,
        round_trips: RoundTrips,
        coordinates: Coordinates,
        counters: Counters,
        effects: list[Effect],
        rng: Randomness,
        suspect: Callable[[Suspect, float], None],
    ) -> None:
        self._config = config
        self._own_name = own_name
        self._table = table
        self._writer = writer
        self._awareness = awareness
        self._round_trips = round_trips
        self._coordinates = coordinates
        self._counters = counters
        self._effects = effects
        self._rng = rng
        self._suspect = suspect
        self.order = Rotation(rng)
        # Random, so that acks recorded before a restart fit no probe after it.
        self._sequence = rng.randrange(2**32)
        self._probe: _Probe | None = None
        self._relays: dict[int, _Relay] = {}

    def next_period(self, now_s: float) -> None:
        """Judge the probe of the period that ends and send that of the next."""
        self._conclude(now_s)
        self._start(ProbePeriod(), self._awareness.stretch(self._config.probe_interval_s))
        name = self.order.next(self._is_target)
        if name is None:
            return
        target = self._table.members[name]
        timeout_s = self._awareness.stretch(self._config.probe_timeout_s)
        self._probe = _Probe(self._next_sequence(), target, now_s, now_s + timeout_s)
        self._counters.probes += 1
        self._writer.send(target.endpoint, name, Ping(self._probe.sequence, name))
        self._start(DirectProbeTimeout(self._probe.sequence), self._patience_s(timeout_s))

    def _patience_s(self, timeout_s: float) -> float:
        """How long to wait for a direct ack before others are asked."""
        usual_s = self._round_trips.usual_s
        if usual_s is None:
            return timeout_s
        return min(timeout_s, max(self._config.early_probe_share * timeout_s, self._awareness.stretch(usual_s)))

    def direct_overdue(self, timer: DirectProbeTimeout, now_s: float) -> None:
        """Ask k others, and the stream (SWIM §3.1; the stream as in memberlist)."""
        probe = self._waiting(timer.sequence)
        if probe is None:
            return
        if now_s < probe.verdict_s:
            self._start(ProbeVerdict(probe.sequence), probe.verdict_s - now_s)
        target = probe.target
        request = PingRequest(probe.sequence, target.name, target.address, target.port)
        helpers = [
            member
            for member in self._table.live()
            if member.state is MemberState.ALIVE and member.name not in (self._own_name, target.name)
        ]
        for helper in self._rng.sample(helpers, min(self._config.indirect_probes, len(helpers))):
            probe.nacks_expected += 1
            self._writer.send(helper.endpoint, helper.name, request)
        if self._config.fallback_probe:
            rest_s = self._config.probe_interval_s - self._config.probe_timeout_s
            self._effects.append(
                Exchange(
                    ProbeExchange(probe.sequence),
                    target.name,
                    PING_EXCHANGE,
                    StreamPing(target.name, target.address, target.port),
                    self._awareness.stretch(rest_s),
                )
            )

    def pinged(self, ping: Ping, source: Address, sender: str) -> None:
        """Answer, if it is us who is meant."""
        if ping.target == self._own_name:
            self._writer.send(source, sender, Ack(ping.sequence, self._coordinates.own_packed))

    def asked_to_ping(self, request: PingRequest, source: Address, sender: str) -> None:
        """Probe for another member."""
        sequence = self._next_sequence()
        self._relays[sequence] = _Relay(sender, source, request.sequence)
        self._writer.send((request.host, request.port), request.target, Ping(sequence, request.target))
        self._start(RelayNack(sequence), self._config.probe_timeout_s * self._config.nack_fraction)
        self._start(RelayExpiry(sequence), self._config.probe_interval_s * self._config.awareness_max)

    def relay_overdue(self, timer: RelayNack) -> None:
        """Tell the requester that we live though the target does not answer us."""
        relay = self._relays.get(timer.sequence)
        if relay is not None:
            self._writer.send(relay.address, relay.requester, Nack(relay.sequence))

    def relay_expired(self, timer: RelayExpiry) -> None:
        """Nobody waits for this any more."""
        self._relays.pop(timer.sequence, None)

    def acked(self, ack: Ack, sender: str, now_s: float) -> None:
        """An ack for us, or one to pass on."""
        relay = self._relays.pop(ack.sequence, None)
        if relay is not None:
            self._writer.send(relay.address, relay.requester, Ack(relay.sequence))
            return
        probe = self._waiting(ack.sequence)
        if probe is not None:
            probe.acked = True
            self._awareness.adjust(-1)
            if sender == probe.target.name:
                self._round_trips.add(sender, now_s - probe.sent_s)
                self._coordinates.measured(sender, ack.coordinate, now_s - probe.sent_s)

    def nacked(self, nack: Nack, sender: str, now_s: float) -> None:
        """A helper lives, and so does our way to it."""
        probe = self._waiting(nack.sequence)
        if probe is not None:
            probe.nacked_by.add(sender)
            self._conclude_early(probe, now_s)

    def verdict_due(self, timer: ProbeVerdict, now_s: float) -> None:
        """The target was silent for as long as it may be."""
        probe = self._waiting(timer.sequence)
        if probe is not None:
            self._conclude_early(probe, now_s)

    def _conclude_early(self, probe: _Probe, now_s: float) -> None:
        """All helpers live and none hears the target: the rest of the period would tell nothing new."""
        unanimous = 0 < probe.nacks_expected <= len(probe.nacked_by)
        if unanimous and now_s >= probe.verdict_s and self._config.early_probe_share < 1:
            self._conclude(now_s)

    def stream_acked(self, token: ProbeExchange) -> None:
        """The target answered over the stream: it lives. UDP may be broken, so our own health is not better."""
        probe = self._waiting(token.sequence)
        if probe is not None:
            probe.acked = True
            self._counters.fallback_acks += 1

    def _conclude(self, now_s: float) -> None:
        probe, self._probe = self._probe, None
        if probe is None or probe.acked:
            return
        self._counters.failed_probes += 1
        if probe.nacks_expected:
            self._awareness.adjust(max(0, probe.nacks_expected - len(probe.nacked_by)))
        else:
            self._awareness.adjust(+1)
        self._suspect(Suspect(probe.target.name, probe.target.incarnation, self._own_name), now_s)

    def _is_target(self, name: str) -> bool:
        return name != self._own_name and self._table.members[name].is_live

    def _waiting(self, sequence: int) -> _Probe | None:
        probe = self._probe
        return probe if probe is not None and probe.sequence == sequence and not probe.acked else None

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % 2**32
        return self._sequence

    def _start(
        self, timer: ProbePeriod | DirectProbeTimeout | ProbeVerdict | RelayNack | RelayExpiry, delay_s: float
    ) -> None:
        self._effects.append(StartTimer(timer, delay_s))
