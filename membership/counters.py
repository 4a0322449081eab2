"""Figures that the core counts as it goes; `health.py` makes frozen snapshots of them."""

from __future__ import annotations

import msgspec


class Counters(msgspec.Struct):
    """Totals since the start of the process."""

    probes: int = 0
    failed_probes: int = 0
    fallback_acks: int = 0
    suspicions: int = 0
    suspicions_refuted: int = 0
    refutations: int = 0
    conflicts: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
