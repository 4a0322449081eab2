"""What is measured at one member: the metrics of the layers above."""

from __future__ import annotations

import msgspec

from membership.member import MemberState
from membership.rtt import BUCKETS_S
from membership.swim import Swim


class Traffic(msgspec.Struct):
    """What the driver counts of the network, since the start of the process."""

    packets_received: int = 0
    packets_rejected: int = 0
    packets_dropped: int = 0
    bytes_received: int = 0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of what is measured at one member. Totals count from the start of the process."""

    members_alive: int
    members_suspect: int
    members_dead: int
    members_left: int
    awareness_score: int
    """0 is healthy; see `membership.awareness`."""
    probes: int
    failed_probes: int
    fallback_acks: int
    """Probes that only the stream answered: UDP is broken towards somebody."""
    suspicions: int
    """Suspicions of others that were held here."""
    suspicions_refuted: int
    """Of these, those that their subject refuted."""
    refutations: int
    """Times that this member had to refute a claim about itself."""
    conflicts: int
    news_queued: int
    events_queued: int
    vitals_queued: int
    packets_sent: int
    packets_received: int
    packets_rejected: int
    """Packets that did not open or decode."""
    packets_dropped: int
    """Packets that were not sent because the queue to the network was full, or the network refused them."""
    bytes_sent: int
    """Sealed bytes, without UDP and IP headers; so for received ones."""
    bytes_received: int
    rtt_bounds_s: tuple[float, ...]
    """Upper bounds of the histogram of round trips to probed members."""
    rtt_counts: tuple[int, ...]
    """Round trips within each bound and above the one before; the last are above all bounds."""
    rtt_sum_s: float


def snapshot(swim: Swim, traffic: Traffic) -> Health:
    """The figures of now."""
    states = [member.state for member in swim.table.members.values()]
    counters = swim.counters
    return Health(
        members_alive=states.count(MemberState.ALIVE),
        members_suspect=states.count(MemberState.SUSPECT),
        members_dead=states.count(MemberState.DEAD),
        members_left=states.count(MemberState.LEFT),
        awareness_score=swim.awareness.score,
        probes=counters.probes,
        failed_probes=counters.failed_probes,
        fallback_acks=counters.fallback_acks,
        suspicions=counters.suspicions,
        suspicions_refuted=counters.suspicions_refuted,
        refutations=counters.refutations,
        conflicts=counters.conflicts,
        news_queued=len(swim.news),
        events_queued=len(swim.event_news),
        vitals_queued=len(swim.vitals_news),
        packets_sent=counters.packets_sent,
        packets_received=traffic.packets_received,
        packets_rejected=traffic.packets_rejected,
        packets_dropped=traffic.packets_dropped,
        bytes_sent=counters.bytes_sent,
        bytes_received=traffic.bytes_received,
        rtt_bounds_s=BUCKETS_S,
        rtt_counts=tuple(swim.round_trips.buckets),
        rtt_sum_s=swim.round_trips.sum_s,
    )
