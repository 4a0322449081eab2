"""What others see of a node of the log."""

from __future__ import annotations

from typing import Literal

import msgspec

from .config import RaftConfig
from .core import Core
from .library import Node
from .metrics import Histogram, RaftMetrics


class Leadership(msgspec.Struct, frozen=True):
    """Who leads and who votes, as this node sees it."""

    leader_id: str | None
    is_leader: bool
    term: int
    role: Literal["voter", "learner"]
    voters: tuple[str, ...]


NOBODY = Leadership(None, False, 0, "learner", ())


class NodeView:
    """The part of `RaftNode` that only looks."""

    node_id: str
    _config: RaftConfig

    def __init__(self) -> None:
        self._core: Core | None = None
        self._leadership = NOBODY
        self._proposals = self._proposals_failed = 0
        self._commit_latency = Histogram()

    @property
    def leadership(self) -> Leadership:
        """All of it as one value, see `wait_leadership`."""
        return self._leadership

    @property
    def leader_id(self) -> str | None:
        """The leader, None while there is none with a quorum (as far as this node can tell)."""
        return self._leadership.leader_id

    @property
    def is_leader(self) -> bool:
        return self._leadership.is_leader

    @property
    def term(self) -> int:
        return self._leadership.term

    @property
    def role(self) -> Literal["voter", "learner"]:
        """By the newest committed voter set."""
        return self._leadership.role

    @property
    def voters(self) -> tuple[str, ...]:
        """The newest committed voter set, sorted."""
        return self._leadership.voters

    @property
    def commit_index(self) -> int:
        return 0 if self._core is None else self._core.raftCommitIndex

    @property
    def applied_index(self) -> int:
        return 0 if self._core is None else self._core.raftLastApplied

    @property
    def last_leader_contact_s(self) -> float:
        """Seconds since this node heard the leader; 0 at the leader, infinite before the first start."""
        if self._core is None:
            return float("inf")
        return 0.0 if self._core._isLeader() else self._core.contact_age_s

    def metrics(self) -> RaftMetrics | None:
        """What this node counts; None while it does not run."""
        core = self._core
        if core is None:
            return None
        return RaftMetrics(
            elections=core.elections,
            proposals=self._proposals,
            proposals_failed=self._proposals_failed,
            commit_latency=self._commit_latency.freeze(),
            sync_latency=core.durability.latency.freeze(),
            journal_bytes=core.journal.size_bytes,
            journal_entries=len(core.journal),
            journal_segments=core.journal.segments,
            snapshot_index=core.snapshots.index,
            snapshot_bytes=core.snapshots.size_bytes,
            snapshot_write_s=core.snapshots.write_s,
            follower_lag_entries=core.follower_lags(),
            storage_full=core.storage_full,
        )

    def caught_up(self, node_id: str) -> bool:
        """At the leader: `node_id` has nearly all that is committed, and answers."""
        core = self._core
        if core is None or not core._isLeader():
            return False
        if node_id == self.node_id:
            return True
        node = Node(node_id)
        if not core.answers(node):
            # As a voter it could take away the quorum that there is.
            return False
        match_index = core._SyncObj__raftMatchIndex.get(node, 0)
        return match_index > 0 and match_index + self._config.caught_up_entries >= core.raftCommitIndex
