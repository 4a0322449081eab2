"""PySyncObj 0.3.17 as we use it: the private names that the corrections rely on, with their types.

Every correction is a class on top of `Library` that overrides the few methods concerned. The version is pinned, and
`tests/consensus/raft/test_library.py` fails loudly when one of these names changes.
"""

from __future__ import annotations

import _socket
import random
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import pysyncobj.serializer
import pysyncobj.syncobj
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf
from pysyncobj.node import Node as LibraryNode

from .codec import PlainCodec
from .config import RaftConfig
from .journal import Journal
from .voter_set import VoterHistory, VoterSet

if TYPE_CHECKING:
    from .corrections.replication import Progress
    from .durability import Durability
    from .snapshot_store import SnapshotStore
    from .transport import LinkTransport

# Its import puts a function for Windows in the place of this one, for the whole process (win_inet_pton.py, line 76).
socket.inet_ntop = _socket.inet_ntop

PINNED_VERSION = "0.3.17"
FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
REGULAR, NO_OP, MEMBERSHIP = b"\0", b"\1", b"\2"

Message = dict[str, Any]
Callback = Callable[[Any, int], None]

__all__ = ["FAIL_REASON", "Library", "Message", "Node", "install_codec_and_journal"]


class Node(str, LibraryNode):  # type: ignore[misc]
    """The library's node, hashed and compared as its id: those happen a hundred times a write, and in C this way."""


class Machine(Protocol):
    def apply(self, index: int, entry: bytes) -> Any: ...
    def image(self) -> Callable[[], Iterable[bytes]]: ...
    def load(self, data: memoryview) -> Callable[[], Iterable[object]]: ...


def install_codec_and_journal() -> None:
    """Take pickle and the stock journal out of the library. Idempotent.

    The library makes its journal with the module-level `createJournal(conf.journalFile)`; we hand it an open
    `Journal` in the place of the file name.
    """
    pysyncobj.syncobj.pickle = PlainCodec
    pysyncobj.serializer.pickle = PlainCodec
    pysyncobj.syncobj.createJournal = _journal_as_it_is


def _journal_as_it_is(journal: Journal) -> Journal:
    if not isinstance(journal, Journal):
        raise TypeError("this process uses PySyncObj with a consensus.raft Journal only")
    return journal


class Library(SyncObj, ABC):  # type: ignore[misc]
    """`SyncObj` with names and types for what the corrections share."""

    _SyncObj__raftLog: Journal
    _SyncObj__raftState: int
    _SyncObj__raftLeader: Node | None
    _SyncObj__raftCurrentTerm: int
    _SyncObj__votedForNodeId: str | None
    _SyncObj__raftCommitIndex: int
    _SyncObj__raftLastApplied: int
    _SyncObj__raftNextIndex: dict[Node, int]
    _SyncObj__raftMatchIndex: dict[Node, int]
    _SyncObj__noopIDx: int | None
    _SyncObj__selfNode: Node
    _SyncObj__otherNodes: set[Node]
    _SyncObj__readonlyNodes: set[Node]
    _SyncObj__connectedNodes: set[Node]
    _SyncObj__commandsWaitingCommit: dict[int, list[tuple[int, Callback]]]
    _SyncObj__commandsQueue: Any
    _SyncObj__transport: LinkTransport
    _SyncObj__needLoadDumpFile: bool

    def __init__(
        self,
        *,
        node_id: str,
        config: RaftConfig,
        journal: Journal,
        voters: VoterHistory,
        machine: Machine,
        snapshots: SnapshotStore,
        durability: Durability,
        transport: Callable[..., LinkTransport],
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        install_codec_and_journal()
        self.node_id = node_id
        self.settings = config
        self.journal = journal
        self.voter_history = voters
        self.machine = machine
        self.snapshots = snapshots
        self.durability = durability
        self.rng = rng
        self.clock = clock
        self.progress: dict[Node, Progress] = {}
        self.storage_full = False
        self.committed_voters: VoterSet = voters.latest
        self.committed_voters_index = 0
        self.wants_pump = False
        others = [Node(voter) for voter in voters.latest if voter != node_id]
        super().__init__(Node(node_id), others, self._library_settings(), nodeClass=Node, transportClass=transport)
        # Snapshots are ours, loaded before the library is made; its own dump file is never used.
        self._SyncObj__needLoadDumpFile = False
        self.transport = self._SyncObj__transport

    def _library_settings(self) -> Any:
        config = self.settings
        return SyncObjConf(
            autoTick=False,
            useFork=False,
            dynamicMembershipChange=True,
            commandsWaitLeader=False,
            commandsQueueSize=config.queue_entries_max,
            raftMinTimeout=config.election_timeout_min_s,
            raftMaxTimeout=config.election_timeout_max_s,
            appendEntriesPeriod=config.heartbeat_s,
            appendEntriesUseBatch=True,
            appendEntriesBatchSizeBytes=config.batch_bytes,
            leaderFallbackTimeout=config.leader_fallback_s,
            connectionTimeout=max(3.5, 2 * config.election_timeout_max_s),
            journalFile=self.journal,
        )

    # What corrections call of each other; each is defined by the one that it names.

    def followers(self) -> set[Node]:
        """Voters and learners that this node replicates to when it leads."""
        return self._SyncObj__otherNodes | self._SyncObj__readonlyNodes

    def is_follower(self, node: Node) -> bool:
        """Whether `node` is one of `followers`."""
        return node in self._SyncObj__otherNodes or node in self._SyncObj__readonlyNodes

    def is_voter(self) -> bool:
        """Whether the newest voter set in our log has us."""
        return self.node_id in self.voter_history.latest

    def is_other_voter(self, node_id: str) -> bool:
        """Whether `node_id` is one, by the newest voter set in our log."""
        return node_id in self._SyncObj__otherNodes

    def is_quorum(self, agreeing: set[str]) -> bool:
        """Whether `agreeing` holds a majority of the newest voter set."""
        voters = self.voter_history.latest
        return 2 * sum(voter in agreeing for voter in voters) > len(voters)

    @abstractmethod
    def step_down(self, term: int, why: str) -> None:
        """See `corrections.elections`."""

    @abstractmethod
    def heard_leader(self) -> None:
        """See `corrections.elections`."""

    @abstractmethod
    def replicate(self) -> None:
        """See `corrections.replication`."""

    @abstractmethod
    def most_advanced_voter(self) -> Node | None:
        """See `corrections.commitment`."""

    @abstractmethod
    def follow_voters(self) -> None:
        """See `corrections.membership`."""

    @abstractmethod
    def forget_waiting(self, index: int) -> None:
        """See `corrections.applying`."""

    def handle(self, node: Node, message: Message) -> None:
        """A message of a kind that the corrections do not handle goes to the library."""
        SyncObj._SyncObj__onMessageReceived(self, node, message)
