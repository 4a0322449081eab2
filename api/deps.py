"""What the API needs of the rest of the daemon. `hivemind/daemon.py` hands it in; tests hand in fakes.

Reads go to the replica, changes through the proposer, and what only one node knows (logs, stats, probe results)
through the gateways, which find the node by themselves.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct, field

from api.upkeep import ClusterUpkeep
from api.volume_gateway import VolumeGateway
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.model.image import ImageFound
from consensus.model.task import Task
from consensus.outcomes import Refusal
from consensus.proposer import UserProposer

# -- the cluster as this node sees it


class NodeVitals(Struct, frozen=True, kw_only=True):
    """A node's load as it says by gossip. Percentages are of the whole node; sizes are in bytes."""

    cpu_percent: float
    load: float
    memory_used_bytes: int
    memory_available_bytes: int
    memory_total_bytes: int
    disk_used_bytes: int
    disk_available_bytes: int
    disk_total_bytes: int
    container_count: int
    network_ok: bool = True


class MemberView(Struct, frozen=True, kw_only=True):
    """What membership says of a node: `state` is alive, suspect, dead or left; `last_seen_s` is unix time."""

    state: str
    vitals: NodeVitals | None = None
    rtt_s: float | None = None
    last_seen_s: float | None = None


class ClusterView(Protocol):
    """This node's place in the cluster. The attributes are read at each answer."""

    @property
    def node_id(self) -> str: ...
    @property
    def leader_id(self) -> str | None: ...
    @property
    def term(self) -> int: ...
    @property
    def last_leader_contact_s(self) -> float | None:
        """Seconds since this node last heard from a leader (0 at the leader); None: never."""
        ...

    @property
    def voters(self) -> tuple[str, ...]: ...
    @property
    def unfit(self) -> str | None:
        """Why nothing should be answered from this node's replica now; None: it is as good as any."""
        ...

    def members(self) -> Mapping[str, MemberView]: ...

    async def read_barrier(self) -> None:
        """Returns when this replica holds everything that was committed before the call.

        Raises:
            consensus.errors.Unavailable: no leader confirmed it in time.
        """
        ...


# -- images


class ImageUnresolved(Exception):
    """Which image a name means cannot be told now; the text says why."""


ResolveImage = Callable[[str], Awaitable[ImageFound | None]]
"""What an image's name means in its registry now; None: it is of no registry.

Raises ImageUnresolved, after some seconds at most.
"""


# -- what only the node of a container knows


class NodeUnreachable(Exception):
    """The node that has the answer does not answer."""


class LeaveRefused(Exception):
    """The node will not leave now; the text says why."""


class ContainerGone(Exception):
    """The node has no such container (any more, or yet)."""


class LogLine(Struct, frozen=True):
    """`text` is without its line end; `stream` is stdout or stderr; `timestamp_s` is unix time.

    `source` names the replica where there are several.
    """

    stream: str
    timestamp_s: float
    text: str
    source: str = ""


class ContainerStats(Struct, frozen=True, kw_only=True):
    """`cpu_percent` is of one core; None: the engine does not count it."""

    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    block_read_bytes: int | None
    block_write_bytes: int | None
    timestamp_s: float


class ProbeResult(Struct, frozen=True):
    timestamp_s: float
    status: str
    message: str | None = None


class HealthReport(Struct, frozen=True, kw_only=True):
    """`history` is newest first."""

    last_check_s: float | None = None
    consecutive_failures: int = 0
    history: tuple[ProbeResult, ...] = ()


class ExecStream(Protocol):
    """A running command with its input and output open. Its methods raise NodeUnreachable and ContainerGone."""

    async def send(self, data: bytes) -> None: ...
    async def send_eof(self) -> None: ...
    async def receive(self) -> tuple[str, bytes]:
        """stdout or stderr, and the next bytes; b"" at the end. With a tty all of it is stdout."""
        ...

    async def resize(self, *, columns: int, rows: int) -> None: ...
    async def exit_code(self) -> int | None: ...


class ContainerGateway(Protocol):
    """A container on any node. Everything here raises NodeUnreachable or ContainerGone."""

    def logs(
        self,
        task: Task,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        """Lines, oldest first. Entering finds the container; with `follow` the iterator ends with it."""
        ...

    def exec(self, task: Task, command: Sequence[str], *, tty: bool) -> AbstractAsyncContextManager[ExecStream]:
        """Entering starts the command; leaving ends its connection."""
        ...

    async def stats(self, task: Task) -> ContainerStats: ...

    async def health(self, task: Task) -> HealthReport: ...


class NodeSample(Struct, frozen=True, kw_only=True):
    """One entry of a node's history. Percentages are of the whole node."""

    timestamp_s: float
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    network_ok: bool = True
    message: str | None = None


class NodeGateway(Protocol):
    async def history(self, node_id: str) -> list[NodeSample]:
        """The node's own samples, newest first. Raises NodeUnreachable."""
        ...

    async def request_leave(self, node_id: str) -> None:
        """Asks a node to drain, leave and remove what is ours; returns when it agreed.

        Raises NodeUnreachable, LeaveRefused.
        """
        ...


# -- the keys of the gossip


class KeyUnknown(Exception):
    """This node holds no gossip key of that fingerprint."""


class KeyRoundRefused(Exception):
    """A member is not ready for the change; no keyring was touched. The text says who and why."""


class KeyRoundIncomplete(Exception):
    """Some members did it and some did not; the text says who. Asking again does no harm."""


class KeyRound(Struct, frozen=True, kw_only=True):
    """How a round over all live members went. Keys are called by their fingerprints.

    `rings`: member → its keys, the used one first. `failed`: member → reason; only a round that lists has any.
    """

    rings: Mapping[str, Sequence[str]]
    failed: Mapping[str, str] = {}


class GossipKeys(Protocol):
    """Changes raise KeyUnknown, KeyRoundRefused and KeyRoundIncomplete."""

    async def list(self) -> KeyRound: ...

    async def install(self, key: bytes) -> str:
        """All accept what is sealed with `key` (32 bytes) from now on. Returns its fingerprint."""
        ...

    async def use(self, fingerprint: str) -> None: ...

    async def remove(self, fingerprint: str) -> None: ...

    async def rotate(self) -> str:
        """A new key is installed, used, and the only one that is left. Returns its fingerprint."""
        ...


# -- credentials


class PasswordHasher(Protocol):
    """Slow hashes, off the loop. `api.auth.passwords.Argon2Hasher` is the real one."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password_hash: str, password: str) -> bool: ...


class ScoreParts(Struct, frozen=True, kw_only=True):
    """What made a node the best of those that would do: the weighted parts and their sum."""

    total: float
    load: float
    network: float
    affinity: float
    anti_affinity: float
    strategy: float


class PlannedReplica(Struct, frozen=True, kw_only=True):
    """`node_id` is null where no node would do; `message` says why, or why this one.

    `replicas_there`: replicas of the app that are there already; the fewest come first. `turned_down`: how many nodes
    each filter turned down.
    """

    node_id: str | None
    message: str
    score: ScoreParts | None
    replicas_there: int
    turned_down: list[str]


class DeployPlan(Struct, frozen=True):
    """What a deploy would do: where each replica would go, and the tasks that would make room."""

    placements: list[PlannedReplica]
    preempted: list[str]


class StaticFile(Struct, frozen=True):
    body: bytes
    content_type: str


TOKEN_LIFETIME_S = 86400.0


class Settings(Struct, frozen=True, kw_only=True):
    """Rates are requests in a window; None is unlimited. The defaults are the reference's."""

    version: str
    requests_per_ip_per_minute: int | None = 100
    requests_per_user_per_hour: int | None = 1000
    body_limit_bytes: int = 4 * 1024 * 1024
    propose_timeout_s: float = 15.0
    token_lifetime_s: float = TOKEN_LIFETIME_S
    leader_wait_s: float = 5.0
    heartbeat_s: float = 15.0


class Deps(Struct, frozen=True, kw_only=True):
    """Everything that the API stands on.

    Attributes:
        token_key: gives the Ed25519 private key (32 bytes) that signs JWTs; the same at every node of the cluster.
        previous_token_key: gives the one before, while tokens that it signed still hold.
        seal: encrypts for the members of the cluster, for what must be in the replicated state; None: no rotation.
        join_token: gives the token by which a new node joins.
        plan_deploy: what a deploy would do now; None where nobody schedules.
        resolve_image: which image a name means now; None: every node finds out by itself.
        render_metrics: gives the answer to ``GET /metrics`` in Prometheus' text format.
        static: files that are served as they are, by path; none of them below ``/api``.
        now_s: unix time.
    """

    replica: Machine
    proposer: UserProposer
    cluster: ClusterView
    containers: ContainerGateway
    nodes: NodeGateway
    volumes: VolumeGateway
    upkeep: ClusterUpkeep
    gossip_keys: GossipKeys
    passwords: PasswordHasher
    token_key: Callable[[], bytes]
    join_token: Callable[[], Awaitable[str]]
    render_metrics: Callable[[], bytes]
    settings: Settings
    plan_deploy: Callable[[AppSpec], Awaitable[DeployPlan | Refusal]] | None = None
    resolve_image: ResolveImage | None = None
    static: Mapping[str, StaticFile] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time
    previous_token_key: Callable[[], bytes | None] = lambda: None
    seal: Callable[[bytes], bytes] | None = None

    def token_keys(self) -> tuple[bytes, ...]:
        """All keys that verify tokens; the one that signs is the first."""
        previous = self.previous_token_key()
        return (self.token_key(),) if previous is None else (self.token_key(), previous)
