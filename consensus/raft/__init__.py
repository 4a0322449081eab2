"""The replicated log: PySyncObj embedded in trio, durable and corrected (design.md §10).

`RaftNode` is the door; it needs `RaftLinks` to talk over and a `StateMachine` to drive.

Decisions:

- A learner is a node whose id is not in the voter set of its own log: it never campaigns, but votes when asked (Raft
  servers do, whatever their configuration says). So it becomes a voter in place, when its log says so; there is no
  moment at which SyncObj is made anew, and the state machine never goes back.
- The log is a folder of segments (`journal_segments`): what a snapshot covers is removed in whole files, and nothing
  that is durable is ever written anew.
- Voters are spoken to in every step, learners in rounds of their own (`corrections.fan_out`).
- One write at a time is a chain of wake-ups, and each costs more than the work: so the loop waits a moment for a small
  sync of a fast disk (`durability`), a lone proposal is sent in the step that brings it, voters' messages are answered
  in theirs, and the news of a commit waits for an append to ride on, unless who forwarded a command waits for it.
- Nothing ticks: the pump sleeps until the core says that something is due (`Core.next_tick_s`).
- The voter set is derived from the log alone (`voter_set`): a set of one's own beside it goes wrong at some crash.
"""

from .config import RaftConfig
from .errors import (
    ApplyFailed,
    BarrierFailed,
    ChangeRefused,
    EntryTooLarge,
    NotLeader,
    NotRunning,
    OutcomeUnknown,
    ProposalError,
    ProposalRefused,
    ProposalTimeout,
    QueueFull,
    RaftError,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageMisused,
    TransferFailed,
)
from .links import LinkReceiver, RaftLinks, StateMachine
from .metrics import LATENCY_BUCKETS_S, Latencies, RaftMetrics
from .node import Applied, RaftNode
from .view import Leadership

__all__ = [
    "LATENCY_BUCKETS_S",
    "Applied",
    "ApplyFailed",
    "BarrierFailed",
    "ChangeRefused",
    "EntryTooLarge",
    "Latencies",
    "Leadership",
    "LinkReceiver",
    "NotLeader",
    "NotRunning",
    "OutcomeUnknown",
    "ProposalError",
    "ProposalRefused",
    "ProposalTimeout",
    "QueueFull",
    "RaftConfig",
    "RaftError",
    "RaftLinks",
    "RaftMetrics",
    "RaftNode",
    "StateMachine",
    "StorageDamaged",
    "StorageError",
    "StorageFull",
    "StorageMisused",
    "TransferFailed",
]
