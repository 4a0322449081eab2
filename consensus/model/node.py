"""Nodes: the machines that are, or were, members of the cluster."""

from __future__ import annotations

import enum

from msgspec import Struct, field

from consensus.model.architecture import runs
from consensus.model.network import OverlayMode, OverlayReport


class NodeStatus(enum.StrEnum):
    """What the cluster has agreed about a node. Who is alive this second is membership's to say (design.md §3)."""

    JOINING = "joining"
    READY = "ready"
    RESTARTING = "restarting"
    LOST = "lost"
    LEFT = "left"


class Taint(Struct, frozen=True, omit_defaults=True):
    key: str
    value: str = ""
    effect: str = "NoSchedule"


class HostPort(Struct, frozen=True, order=True):
    """A port of a machine."""

    port: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


class NodeFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node says of itself each time that its daemon starts.

    `overlay_reason`: why it takes no part in the overlay; `overlay_key`: its public key of WireGuard, in base64.
    """

    address: str
    api_port: int
    peer_port: int
    version: str = ""
    engine: str = ""
    engine_version: str = ""
    architecture: str = ""
    emulates: list[str] = field(default_factory=list)
    """Architectures that it runs, too, by emulation."""
    cpu_cores: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    feature_level: int = 1
    """The newest that its version knows (consensus/features.py)."""
    overlay: OverlayMode = OverlayMode.OFF
    overlay_reason: str = ""
    overlay_key: str = ""

    def runs(self, image_architecture: str) -> bool:
        """Whether it can run images of that architecture."""
        return runs(self.architecture, self.emulates, image_architecture)


class RemovedNode(Struct, frozen=True):
    """The tombstone of a removed node: its certificate is valid for a while, but it is let in nowhere."""

    id: str
    removed_at_s: float


class Node(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`boot_id` names one run of the daemon, so that the leader can tell a restart from a pause.

    `drained_tasks`: how many tasks it had when its draining began.
    `taken_ports`: host ports that apps cannot have there, since another program listens on them.
    `subnet` (of IPv6: `subnet6`) is the node's own in the overlay; `overlay` what this run of its daemon made of it,
    None until it told.
    """

    id: str
    facts: NodeFacts
    status: NodeStatus = NodeStatus.JOINING
    status_message: str = ""
    status_since_s: float
    joined_at_s: float
    boot_id: str = ""
    maintenance: bool = False
    draining: bool = False
    drained_tasks: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Taint] = field(default_factory=list)
    subnet: str | None = None
    subnet6: str | None = None
    overlay: OverlayReport | None = None
    taken_ports: tuple[HostPort, ...] = ()

    @property
    def all_labels(self) -> dict[str, str]:
        """The daemon's own labels, overlaid with those that were set through the API."""
        return {**self.facts.labels, **self.labels}

    @property
    def holds_tasks(self) -> bool:
        """Whether tasks placed here are taken to be alive: a restarting daemon's containers keep running."""
        return self.status in (NodeStatus.READY, NodeStatus.RESTARTING)

    @property
    def may_have_bound(self) -> bool:
        """Whether what is bound to this node may be started here, as the successor of what was: also in maintenance."""
        return self.status is NodeStatus.READY and not self.draining

    @property
    def schedulable(self) -> bool:
        return self.status is NodeStatus.READY and not self.maintenance and not self.draining
