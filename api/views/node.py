"""Nodes: what was agreed about them, and their vitals by gossip."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from api.auth.reach import Reach
from api.deps import ClusterView, MemberView
from api.route import Access, Need
from api.views.container import status_word
from api.views.fields import same_fields
from consensus.drain import drain_progress
from consensus.model.network import OverlayMode, OverlayStatus
from consensus.model.node import Node, NodeStatus
from consensus.namespaces import namespace_of
from consensus.state import State
from consensus.timestamp import iso_utc


class NodeResources(Struct, frozen=True, kw_only=True):
    """CPU in cores, sizes in bytes. What is available is what the node's last vitals say is free."""

    cpu_total: float
    cpu_available: float
    memory_total: int
    memory_available: int
    disk_total: int
    disk_available: int


class _Node(Struct, frozen=True, kw_only=True):
    """What the list and the details of a node both say."""

    id: str
    address: str
    api_port: int
    peer_port: int
    status: str
    message: str
    role: str
    leader: bool
    version: str
    engine: str
    architecture: str
    maintenance: bool
    draining: bool
    joined_at: str
    labels: dict[str, str]
    resources: NodeResources


class NodeItem(_Node, frozen=True, kw_only=True):
    containers: int


class NodeContainer(Struct, frozen=True):
    id: str
    name: str
    status: str


class TaintView(Struct, frozen=True):
    key: str
    value: str
    effect: str


class CapabilityView(Struct, frozen=True):
    """What the machine has or lacks; `detail` says what serves as it, or what is missing."""

    name: str
    available: bool
    detail: str


class NodeNetwork(Struct, frozen=True):
    """`overlay_status`: connected, degraded or disabled; `overlay_message` says why it is not connected.

    `capabilities`: what the overlay found on the machine; empty until its daemon has looked.
    """

    subnet: str | None
    subnet6: str | None
    overlay_status: str
    overlay_message: str
    capabilities: list[CapabilityView]


class HostPortView(Struct, frozen=True):
    port: int
    protocol: str


class NodeDetail(_Node, frozen=True, kw_only=True):
    """`taken_ports`: host ports that another program has there."""

    containers: list[NodeContainer]
    taints: list[TaintView]
    network: NodeNetwork
    taken_ports: list[HostPortView]
    drain: DrainView | None
    rtt_ms: float | None


class DrainRemaining(Struct, frozen=True):
    """A container that is still there, and what it waits for; `blocked`: it will not go by itself."""

    id: str
    app: str
    message: str
    blocked: bool


class DrainView(Struct, frozen=True):
    """How far a drain is: of `total` containers `done` are gone."""

    total: int
    done: int
    remaining: list[DrainRemaining]


def drain_view(state: State, node: Node, reach: Reach) -> DrainView | None:
    progress = drain_progress(state, node)
    if progress is None:
        return None
    remaining = [
        DrainRemaining(one.task_id, one.app, one.message, one.blocked)
        for one in progress.remaining
        if reach.holds(namespace_of(state, "tasks", one.task_id))
    ]
    return DrainView(progress.total, progress.total - len(progress.remaining), remaining)


def status_of(node: Node) -> str:
    """A ready node in maintenance takes no new work: that is what its status says."""
    if node.status is NodeStatus.READY and (node.maintenance or node.draining):
        return "maintenance"
    return node.status.value


def _resources(node: Node, member: MemberView | None) -> NodeResources:
    facts = node.facts
    vitals = member.vitals if member is not None else None
    if vitals is None:
        # Nothing is known of its load: a node that does not answer has nothing to offer.
        return NodeResources(
            cpu_total=facts.cpu_cores,
            cpu_available=0.0,
            memory_total=facts.memory_bytes,
            memory_available=0,
            disk_total=facts.disk_bytes,
            disk_available=0,
        )
    return NodeResources(
        cpu_total=facts.cpu_cores,
        cpu_available=round(max(0.0, facts.cpu_cores * (1 - vitals.cpu_percent / 100)), 3),
        memory_total=facts.memory_bytes or vitals.memory_total_bytes,
        memory_available=vitals.memory_available_bytes,
        disk_total=facts.disk_bytes or vitals.disk_total_bytes,
        disk_available=vitals.disk_available_bytes,
    )


SEE_CONTAINERS = Need(Access.VIEW, "containers:read")
Members = Mapping[str, MemberView]
"""What ClusterView.members told, asked for once an answer: it makes a view of every member."""


def node_item(state: State, cluster: ClusterView, members: Members, node: Node) -> NodeItem:
    facts = node.facts
    return NodeItem(
        id=node.id,
        address=facts.address,
        api_port=facts.api_port,
        peer_port=facts.peer_port,
        status=status_of(node),
        message=node.status_message,
        role="manager" if node.id in cluster.voters else "worker",
        leader=node.id == cluster.leader_id,
        version=facts.version,
        engine=facts.engine,
        architecture=facts.architecture,
        maintenance=node.maintenance,
        draining=node.draining,
        joined_at=iso_utc(node.joined_at_s),
        labels=node.all_labels,
        resources=_resources(node, members.get(node.id)),
        containers=len(state.task_ids_by_node.get(node.id, ())),
    )


def node_detail(state: State, cluster: ClusterView, node: Node, *, reach: Reach) -> NodeDetail:
    """Of its containers, those within `reach`: a node has them of all namespaces."""
    members = cluster.members()
    item, member = node_item(state, cluster, members, node), members.get(node.id)
    tasks = sorted(state.tasks_on_node(node.id), key=lambda task: (task.app, task.slot, task.id))
    return NodeDetail(
        **same_fields(_Node, item),
        containers=[
            NodeContainer(task.id, task.name, status_word(state, task))
            for task in tasks
            if reach.holds(state.spec_of(task).namespace)
        ],
        taints=[TaintView(taint.key, taint.value, taint.effect) for taint in node.taints],
        network=node_network(node, member),
        taken_ports=[HostPortView(port.port, port.protocol) for port in node.taken_ports],
        drain=drain_view(state, node, reach),
        rtt_ms=None if member is None or member.rtt_s is None else round(member.rtt_s * 1000, 3),
    )


def node_network(node: Node, member: MemberView | None) -> NodeNetwork:
    status, message = _overlay_status(node, member)
    told = () if node.overlay is None else node.overlay.capabilities
    capabilities = [CapabilityView(each.name, each.available, each.detail) for each in told]
    return NodeNetwork(node.subnet, node.subnet6, status.value, message, capabilities)


def _overlay_status(node: Node, member: MemberView | None) -> tuple[OverlayStatus, str]:
    """A node that others do not reach cannot be connected, whatever it said last."""
    if node.facts.overlay is OverlayMode.OFF:
        return OverlayStatus.DISABLED, node.facts.overlay_reason
    if member is None or member.state != "alive":
        return OverlayStatus.DEGRADED, "the node does not answer"
    if node.overlay is None:
        return OverlayStatus.DEGRADED, "its daemon is starting"
    return node.overlay.status, node.overlay.reason
