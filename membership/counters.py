"""Figures that the core counts as it goes; `Membership.health` hands out frozen snapshots of them."""

from __future__ import annotations

import msgspec


class Counters(msgspec.Struct):
    """Totals since the start of the process."""

    probes: int = 0
    failed_probes: int = 0
    fallback_acks: int = 0
    suspicions: int = 0
    refutations: int = 0
    conflicts: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0


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
    refutations: int
    conflicts: int
    news_queued: int
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
