"""What can be done with the files of a stopped node: look at them, and begin anew after a lost quorum.

All functions block. They take the node's lock, so that no daemon is at the files meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from .corrections.membership import encode_change
from .record import Entry
from .snapshot import Snapshot, SnapshotHeader, write_snapshot
from .storage import Storage, create_storage, open_storage
from .voter_set import Identity, VoterChange, VoterSet, load_identity
from .votes import Votes, load_votes, save_votes


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """`last_index` is the end of the log; how much of it is committed, only a quorum knows."""

    node_id: str
    term: int
    voted_for: str | None
    voters: VoterSet
    snapshot_index: int
    snapshot_bytes: int
    segments: int
    first_index: int
    last_index: int
    last_term: int


def inspect(data_dir: Path) -> Inspection:
    """What is in the directory. Raises StorageDamaged, StorageMisused (also while a daemon runs there)."""
    storage = _open(data_dir)
    try:
        votes, snapshot = load_votes(data_dir / "votes").votes, storage.snapshot
        return Inspection(
            node_id=load_identity(data_dir / "identity").node_id,
            term=votes.term,
            voted_for=votes.voted_for,
            voters=storage.voters.latest,
            snapshot_index=storage.snapshots.index,
            snapshot_bytes=0 if snapshot is None else len(snapshot.state),
            segments=storage.journal.segments,
            first_index=storage.journal.first.index,
            last_index=storage.journal.last.index,
            last_term=storage.journal.last.term,
        )
    finally:
        storage.close()


def read(data_dir: Path) -> tuple[Snapshot | None, list[Entry]]:
    """The snapshot, and the entries after it. Raises as `inspect`."""
    storage = _open(data_dir)
    try:
        since = storage.snapshots.index
        return storage.snapshot, [entry for entry in storage.journal[:] if entry.index > since]
    finally:
        storage.close()


def begin(data_dir: Path, node_id: str, state: Iterable[bytes], *, index: int, term: int) -> None:
    """Files of a node that is the only voter of a new cluster, whose log goes on from `state`, that of `index`.

    Raises StorageMisused where a node has lived, OSError.
    """
    create_storage(data_dir, node_id, [node_id])
    save_votes(data_dir / "votes", Votes(term))
    write_snapshot(data_dir / "snapshot", SnapshotHeader(index, term, (node_id,)), state)
    _open(data_dir).close()


def make_sole_voter(data_dir: Path) -> Inspection:
    """Let this node lead alone: appends, durably, a membership entry by which it is the only voter.

    For a lost quorum only. Kept is all that is in this node's log, also entries that were never committed; lost is
    what other nodes had and this one had not. No other node of the old cluster may ever run again with its old files:
    it could lead by its old voters. Raises as `inspect`.
    """
    storage = _open(data_dir)
    try:
        identity = load_identity(data_dir / "identity")
        if storage.voters.latest != (identity.node_id,):
            journal, term = storage.journal, max(storage.journal.last.term, load_votes(data_dir / "votes").votes.term)
            change = VoterChange("add", identity.node_id, (identity.node_id,))
            journal.setCurrentTerm(term + 1, None)
            journal.add(encode_change(change), journal.last.index + 1, term + 1)
            flush = journal.begin_flush()
            flush.run()
            journal.flushed(flush)
            storage.save_voters(journal.last.index, change.voters)
    finally:
        storage.close()
    return inspect(data_dir)


def _open(data_dir: Path) -> Storage:
    return open_storage(data_dir, _node_id(data_dir))


def _node_id(data_dir: Path) -> str:
    try:
        identity: Identity = load_identity(data_dir / "identity")
    except FileNotFoundError:
        return ""
    return identity.node_id
