"""Settings of the replicated log, and why their values are what they are."""

from __future__ import annotations

import msgspec

from .journal_segments import SEGMENT_BYTES


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes."""

    election_timeout_min_s: float = 0.8
    """A follower that hears nothing this long may seek votes. Several heartbeats, above a slow fdatasync."""
    election_timeout_max_s: float = 1.7
    """Upper end of the random election timeout; the spread keeps votes from being split."""
    heartbeat_s: float = 0.25
    """The leader speaks to every voter this often when there is no news: more than three times in the shortest
    election timeout. At rest this is what a node costs, more than a millisecond of CPU each time."""
    commit_news_s: float = 0.003
    """The news of a commit waits so long for an append to ride on: on its own it costs as much as one."""
    learner_heartbeat_s: float = 0.7
    """The same for learners, of which there may be hundreds. Less than the peer channel waits before it pings."""
    learner_pace_s: float = 0.0002
    """News reaches learners in rounds at least this far apart, times their number: at once where they are few, and
    for at most half of the leader's time where they are many."""
    fan_out_slice_s: float = 0.002
    """The leader yields to the loop after speaking to learners for so long."""
    leader_fallback_s: float = 2.0
    """A leader without a quorum's answers steps down after this; a follower forgets a silent leader."""
    exchange_timeout_s: float = 3.0
    """An append or snapshot chunk without an answer is sent again after this (the link may have dropped it)."""
    inbox_slice_s: float = 0.003
    """Reading what others sent, and what was proposed here, yields to the loop after this."""
    step_slice_s: float = 0.004
    """Messages are answered in the step of the loop that brings them until those have taken this long together; with
    the other slices it is what one step may take: below the 20 ms bar on loop lag, with room for the rest."""
    look_around_s: float = 0.5
    """What needs no haste is done this often, half as often where nothing happens: making oneself known to a leader,
    forgetting guests."""

    entry_bytes_max: int = 128 * 1024
    queue_entries_max: int = 4096
    """Outstanding proposals at one leader; also bounds the time that draining the queue holds the loop."""
    batch_bytes: int = 1024 * 1024
    """Entries in one append; well above `entry_bytes_max`, below the peer channel's frame limit."""
    batch_entries: int = 1024
    apply_slice_s: float = 0.005
    """Applying yields to the loop after this."""

    segment_bytes: int = SEGMENT_BYTES
    """Of one file of the log: what a snapshot covers is removed in files, so this is how much more may be kept."""
    snapshot_after_entries: int = 10_000
    snapshot_after_bytes: int = 64 * 1024 * 1024
    """Journal size that triggers a snapshot, whatever the number of entries."""
    snapshot_chunk_bytes: int = 256 * 1024
    tail_entries_kept: int = 2_000
    """Entries kept behind a snapshot, so that a follower that is slightly behind needs no snapshot."""
    caught_up_entries: int = 200
    """A follower this close to the commit index counts as caught up."""
    guest_expiry_s: float = 10.0
    """A learner whose link is down and that was not heard for this long is forgotten by the leader."""

    @classmethod
    def local(cls) -> RaftConfig:
        """Preset for tests and clusters on one machine: elections within a second."""
        return cls(
            election_timeout_min_s=0.3,
            election_timeout_max_s=0.6,
            heartbeat_s=0.05,
            learner_heartbeat_s=0.1,
            leader_fallback_s=0.8,
            exchange_timeout_s=1.0,
            look_around_s=0.1,
        )

    def validate(self) -> None:
        """Raise ValueError that names the settings that contradict each other."""
        problems = [text for wrong, text in self._checks() if wrong]
        if problems:
            raise ValueError("; ".join(problems))

    def _checks(self) -> list[tuple[bool, str]]:
        return [
            (self.heartbeat_s <= 0, "heartbeat_s must be positive"),
            (self.look_around_s <= 0, "look_around_s must be positive"),
            (
                self.election_timeout_min_s <= 3 * self.heartbeat_s,
                "election_timeout_min_s must be over three heartbeat_s",
            ),
            (
                self.election_timeout_max_s <= self.election_timeout_min_s,
                "election_timeout_max_s must be over election_timeout_min_s",
            ),
            (
                self.leader_fallback_s <= self.election_timeout_min_s,
                "leader_fallback_s must be over election_timeout_min_s",
            ),
            (self.entry_bytes_max <= 0, "entry_bytes_max must be positive"),
            (self.batch_bytes < 2 * self.entry_bytes_max, "batch_bytes must hold two entries of entry_bytes_max"),
            (self.segment_bytes < 1024, "segment_bytes must be at least 1024"),
            (self.batch_entries < 1, "batch_entries must be at least 1"),
            (self.queue_entries_max < 1, "queue_entries_max must be at least 1"),
            (self.snapshot_after_entries < 2, "snapshot_after_entries must be at least 2"),
            (self.tail_entries_kept < 0, "tail_entries_kept must not be negative"),
            (
                self.tail_entries_kept >= self.snapshot_after_entries,
                "tail_entries_kept must be under snapshot_after_entries",
            ),
        ]
