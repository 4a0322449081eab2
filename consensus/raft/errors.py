"""What can go wrong in the replicated log.

::

    RaftError
    ├── ProposalError
    │   ├── ProposalRefused          the entry was not and will not be applied
    │   │   ├── NotLeader            propose at `leader_id` instead
    │   │   ├── QueueFull            too many outstanding proposals
    │   │   ├── EntryTooLarge        split it, or send it outside the log
    │   │   ├── StorageFull          no room on disk; the node recovers by itself
    │   │   └── ChangeRefused        a membership change that cannot be made now
    │   ├── OutcomeUnknown           it may have been applied, or may be later
    │   │   └── ProposalTimeout
    │   └── ApplyFailed              it was applied, and the state machine raised
    ├── BarrierFailed                leadership was not confirmed in time
    ├── TransferFailed               leadership was not handed over in time
    ├── NotRunning                   this node is starting, or has stopped
    └── StorageError
        ├── StorageDamaged           names the file and the way out
        └── StorageMisused           found/learn on used files, or two processes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RaftError(Exception):
    """Base of all errors of the replicated log. `temporary`: trying again later makes sense."""

    temporary: bool = False


class ProposalError(RaftError):
    """A proposal did not end with a result."""


class ProposalRefused(ProposalError):
    """The entry was not applied and never will be; proposing it again is safe."""

    temporary = True


class NotLeader(ProposalRefused):
    """This node does not lead. `leader_id` is the leader it knows of, or None."""

    def __init__(self, leader_id: str | None) -> None:
        super().__init__(f"not the leader; the leader is {leader_id or 'unknown'}")
        self.leader_id = leader_id


class QueueFull(ProposalRefused):
    """Too many proposals are outstanding at this leader."""


class EntryTooLarge(ProposalRefused):
    """The entry is longer than `RaftConfig.entry_bytes_max`."""

    temporary = False

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"an entry of {size_bytes} bytes is over the limit of {limit_bytes}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class StorageFull(ProposalRefused):
    """There is no room for the log on disk."""


class ChangeRefused(ProposalRefused):
    """Another membership change is under way, or this one changes nothing."""


class OutcomeUnknown(ProposalError):
    """The entry may have been applied, or may be later: retry only with the same command id."""

    temporary = True


class ProposalTimeout(OutcomeUnknown):
    """No result came within the caller's timeout."""


class ApplyFailed(ProposalError):
    """The entry is committed, but the state machine raised (which it never should)."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"entry {index} could not be applied: {reason}")
        self.index = index


class BarrierFailed(RaftError):
    """Leadership could not be confirmed by a quorum in time."""

    temporary = True


class TransferFailed(RaftError):
    """No other voter took over the leadership in time."""

    temporary = True


class NotRunning(RaftError):
    """This node's log does not run now."""

    temporary = True


class StorageError(RaftError):
    """The node's own files cannot be used."""


class StorageDamaged(StorageError):
    """A file is damaged in a place that was already safe on disk; starting would lose data silently.

    `data_dir` is where the node's files are, where that is not the file's own folder.
    """

    def __init__(self, path: Path, what: str, data_dir: Path | None = None) -> None:
        super().__init__(
            f"{path}: {what}. Refusing to start, because acknowledged writes could be lost. "
            f"Way out: restore the file from a backup of this disk, or move {data_dir or path.parent} away and "
            "join the cluster again as a new node; the other nodes have the data."
        )
        self.path = path
        self.what = what


class StorageMisused(StorageError):
    """The files in the data directory do not fit what was asked of them."""
