"""What a node of the log counts of itself, read when asked."""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """Counts of latencies by `LATENCY_BUCKETS_S`; the last count is of all that were longer."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, latency_s: float) -> None:
        self._counts[bisect_left(LATENCY_BUCKETS_S, latency_s)] += 1
        self._sum_s += latency_s

    def freeze(self) -> Latencies:
        return Latencies(tuple(self._counts), self._sum_s)


class Latencies(Struct, frozen=True):
    """A histogram at one moment; counts are not cumulative."""

    counts: tuple[int, ...]
    sum_s: float


class RaftMetrics(Struct, frozen=True, kw_only=True):
    """`follower_lag_entries` is what each follower lacks of what is committed; empty where this node does not lead."""

    elections: int
    """Terms that this node began by asking for votes."""
    proposals: int
    proposals_failed: int
    commit_latency: Latencies
    """From proposing to applied, at the leader."""
    sync_latency: Latencies
    """Of a write and fdatasync of the journal."""
    journal_bytes: int
    journal_entries: int
    journal_segments: int
    snapshot_index: int
    snapshot_bytes: int
    snapshot_write_s: float
    follower_lag_entries: dict[str, int]
    storage_full: bool
