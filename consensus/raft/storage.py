"""A node's files, opened together and checked against each other.

``identity`` whose files these are, ``votes`` term and vote, ``log`` a folder with the log's segments, ``snapshot`` the
state at some index, ``lock`` held while a process uses them. All functions block: call them in a worker thread.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from ..durable import sync_directory
from .corrections.compaction import base_entry
from .corrections.membership import decode_change
from .errors import StorageDamaged, StorageMisused
from .journal import Journal
from .journal_segments import SEGMENT_BYTES, JournalSegments, create_segments, open_segments
from .library import NO_OP
from .one_file_journal import convert_one_file_journal
from .record import Entry
from .snapshot import Snapshot, read_snapshot
from .snapshot_store import SnapshotStore
from .voter_set import Identity, VoterHistory, VoterSet, load_identity, save_identity
from .votes import Votes, load_votes, save_votes

_log = structlog.get_logger()


class Storage:
    """An opened data directory."""

    def __init__(
        self,
        data_dir: Path,
        lock: int,
        journal: Journal,
        voters: VoterHistory,
        snapshot: Snapshot | None,
        identity: Identity,
    ) -> None:
        self._identity = identity
        self._data_dir = data_dir
        self._lock = lock
        self.journal = journal
        self.voters = voters
        self.snapshot = snapshot
        header = snapshot.header if snapshot is not None else None
        self.snapshots = SnapshotStore(data_dir / "snapshot", header)

    @property
    def applied_index(self) -> int:
        """Everything up to here is in the snapshot (or is the log's first, empty entry)."""
        return self.snapshots.index or self.journal.first.index

    @property
    def committed_voters(self) -> tuple[int, VoterSet]:
        """The newest voter set known to be committed, and the index since when: kept, or in the snapshot."""
        if self._identity.index > self.applied_index or self.snapshots.header is None:
            return self._identity.index, self._identity.voters
        return self.applied_index, self.snapshots.header.voters

    def save_voters(self, index: int, voters: VoterSet) -> None:
        """Keep the committed voter set for the next start."""
        self._identity = Identity(self._identity.node_id, voters, index)
        save_identity(self._data_dir / "identity", self._identity)

    def close(self) -> None:
        self.journal.close()
        os.close(self._lock)


def has_identity(data_dir: Path) -> bool:
    """Whether a node has lived here."""
    return (data_dir / "identity").exists()


def _has_log(data_dir: Path) -> bool:
    return (data_dir / "log").exists() or (data_dir / "journal").exists()


def create_storage(data_dir: Path, node_id: str, voters: Sequence[str]) -> None:
    """First start: an empty log, no vote, and `voters` as far as they are known.

    Raises:
        StorageMisused: a node has lived here.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    used = has_identity(data_dir) or (data_dir / "snapshot").exists()
    if not used and _has_log(data_dir):
        # A first start that was interrupted leaves an empty log, and may begin again.
        convert_one_file_journal(data_dir, data_dir / "log", SEGMENT_BYTES)
        segments, entries = open_segments(data_dir / "log")
        segments.close()
        used = len(entries) > 1
    if used:
        raise StorageMisused(f"{data_dir} holds the files of a node already; start it without founding or joining")
    save_votes(data_dir / "votes", Votes())
    create_segments(data_dir / "log", [Entry(NO_OP, 1, 0)])
    save_identity(data_dir / "identity", Identity(node_id, tuple(sorted(voters))))
    sync_directory(data_dir.parent)


def open_storage(data_dir: Path, node_id: str, segment_bytes: int = SEGMENT_BYTES) -> Storage:
    """Open what an earlier start left; the log goes on in segments of at most `segment_bytes`.

    Raises:
        StorageMisused: nobody has lived here, or somebody else, or another process is at it.
        StorageDamaged: a file is missing or damaged.
    """
    lock = _lock(data_dir)
    try:
        return _open_locked(data_dir, node_id, lock, segment_bytes)
    except BaseException:
        os.close(lock)
        raise


def _lock(data_dir: Path) -> int:
    if not data_dir.is_dir():
        raise StorageMisused(f"{data_dir} does not exist; found a cluster or join one first")
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StorageMisused(f"{data_dir} is in use by another process") from None
    return lock


def _open_locked(data_dir: Path, node_id: str, lock: int, segment_bytes: int) -> Storage:
    identity = _identity(data_dir, node_id)
    votes = load_votes(data_dir / "votes")
    snapshot = _snapshot(data_dir / "snapshot")
    convert_one_file_journal(data_dir, data_dir / "log", segment_bytes)
    segments, entries = open_segments(data_dir / "log", segment_bytes, votes.segment)
    segments.keep_newest = votes.keep_segment
    try:
        entries = _continue_snapshot(data_dir, snapshot, segments, entries)
    except BaseException:
        segments.close()
        raise
    voters = _voters(identity, snapshot, entries)
    journal = Journal(segments, entries, votes.votes, votes.keep)
    return Storage(data_dir, lock, journal, voters, snapshot, identity)


def _identity(data_dir: Path, node_id: str) -> Identity:
    path = data_dir / "identity"
    try:
        identity = load_identity(path)
    except FileNotFoundError:
        if _has_log(data_dir) or (data_dir / "snapshot").exists():
            raise StorageDamaged(path, "the file with this node's identity is missing") from None
        raise StorageMisused(f"{data_dir} is empty; found a cluster or join one first") from None
    if identity.node_id != node_id:
        raise StorageMisused(f"{data_dir} holds the files of node {identity.node_id}, not of {node_id}")
    return identity


def _snapshot(path: Path) -> Snapshot | None:
    try:
        return read_snapshot(path)
    except FileNotFoundError:
        return None


def _continue_snapshot(
    data_dir: Path, snapshot: Snapshot | None, segments: JournalSegments, entries: list[Entry]
) -> list[Entry]:
    """The entries that go with the snapshot: the stock library dropped the acknowledged tail here."""
    first, last = entries[0], entries[-1]
    path = data_dir / "snapshot"
    if snapshot is None:
        if first.index > 1:
            raise StorageDamaged(path, f"it is missing, and the log begins at entry {first.index} only")
        return entries
    header = snapshot.header
    if header.index < first.index:
        raise StorageDamaged(path, f"it ends at entry {header.index}, and the log begins at {first.index} only")
    if header.index <= last.index and entries[header.index - first.index].term == header.term:
        return entries
    # Stopped between installing a leader's snapshot and beginning the log anew after it.
    entries = [base_entry(header)]
    segments.restart(entries[0])
    return entries


def _voters(identity: Identity, snapshot: Snapshot | None, entries: list[Entry]) -> VoterHistory:
    if snapshot is None:
        history = VoterHistory(entries[0].index, identity.voters)
    else:
        history = VoterHistory(snapshot.header.index, snapshot.header.voters)
    since = 0 if snapshot is None else snapshot.header.index
    for entry in entries:
        if entry.index > since and (change := decode_change(entry.command)) is not None:
            history.append(entry.index, change.voters)
    return history
