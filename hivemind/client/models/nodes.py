"""Services, network policies, volumes, nodes, and the health of all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class Endpoint(Struct, frozen=True, kw_only=True):
    container_id: str | None = None
    ip_address: str | None = None
    port: int | None = None
    node_id: str | None = None
    health: str | None = None


class Service(Struct, frozen=True, kw_only=True):
    """`ports`, how it is balanced, and `health_check` are told in a service's details."""

    name: str
    domain: str
    endpoints: list[Endpoint]
    load_balancing_strategy: str
    namespace: str = "default"
    virtual_ip: str | None = None
    apps: list[str] = field(default_factory=list)
    ports: list[dict[str, Any]] = field(default_factory=list)
    session_affinity: str = "none"
    session_timeout: str | int | float = "3h"
    prefer: str = "any"
    proxy_protocol: str = "off"
    weights: dict[str, int] = field(default_factory=dict)
    health_check: dict[str, Any] | None = None


class NetworkPolicy(Struct, frozen=True, kw_only=True):
    """`containers` are those that it selects now; it does not hold on the nodes `not_enforced_on`."""

    name: str
    selector: dict[str, Any]
    ingress_rules: list[dict[str, Any]]
    egress_rules: list[dict[str, Any]]
    encryption_required: bool
    traffic_logging: bool
    description: str = ""
    policy_types: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    not_enforced_on: list[str] = field(default_factory=list)


class Volume(Struct, frozen=True, kw_only=True):
    name: str
    type: str
    created_at: datetime
    namespace: str = "default"
    size: str | int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    used_by: list[str] = field(default_factory=list)
    node_id: str | None = None
    path: str | None = None
    server: str | None = None
    filesystem: str | None = None
    mount_options: str | None = None
    without_quota: str = "warn"
    cloned_from: str | None = None
    snapshot: bool = False


class VolumeUsage(Struct, frozen=True, kw_only=True):
    name: str
    node_id: str
    bytes: int
    files: int
    timestamp: datetime
    limit: int | None = None


class VolumeData(Struct, frozen=True, kw_only=True):
    """What a volume holds after its data was replaced, copied or moved."""

    name: str
    node_id: str
    bytes: int
    files: int
    message: str


# -- nodes


class NodeResources(Struct, frozen=True, kw_only=True):
    cpu_total: float
    cpu_available: float
    memory_total: int
    memory_available: int
    disk_total: int
    disk_available: int


class Taint(Struct, frozen=True, kw_only=True):
    key: str
    value: str
    effect: str


class NodeContainer(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: str


class Capability(Struct, frozen=True, kw_only=True):
    """What a machine has or lacks, and what serves as it or is missing."""

    name: str
    available: bool
    detail: str


class NodeNetwork(Struct, frozen=True, kw_only=True):
    """`overlay_status` is connected, degraded or disabled; `overlay_message` says why."""

    overlay_status: str
    overlay_message: str = ""
    subnet: str | None = None
    subnet6: str | None = None
    capabilities: list[Capability] = []


class OverlayNode(NodeNetwork, frozen=True, kw_only=True):
    """A node's part; `mode` is vxlan, host-gw or off."""

    node_id: str
    mode: str


class Overlay(Struct, frozen=True, kw_only=True):
    """The network between containers of all nodes."""

    ranges: list[str]
    encryption: str = "off"
    subnets_total: int
    subnets_used: int
    nodes: list[OverlayNode]


class _NodeFacts(Struct, frozen=True, kw_only=True):
    id: str
    address: str
    status: str
    role: str
    resources: NodeResources
    message: str = ""
    leader: bool = False
    version: str = ""
    engine: str = ""
    architecture: str = ""
    maintenance: bool = False
    draining: bool = False
    labels: dict[str, str] = field(default_factory=dict)


class Node(_NodeFacts, frozen=True, kw_only=True):
    """`containers` counts them."""

    containers: int


class DrainRemaining(Struct, frozen=True, kw_only=True):
    """A container that is still there; `blocked`: it will not go by itself."""

    id: str
    app: str
    message: str
    blocked: bool = False


class Drain(Struct, frozen=True, kw_only=True):
    total: int
    done: int
    remaining: list[DrainRemaining] = []


class HostPort(Struct, frozen=True, kw_only=True):
    port: int
    protocol: str = "tcp"


class NodeDetail(_NodeFacts, frozen=True, kw_only=True):
    """`taken_ports`: host ports that another program has there."""

    containers: list[NodeContainer]
    taints: list[Taint]
    network: NodeNetwork
    taken_ports: list[HostPort] = []
    drain: Drain | None = None
    rtt_ms: float | None = None


# -- health


class Component(Struct, frozen=True, kw_only=True):
    status: str
    total: int
    healthy: int
    unhealthy: int


class Health(Struct, frozen=True, kw_only=True):
    """`components` by name: nodes, containers, services; `alerts` by severity."""

    status: str
    components: dict[str, Component]
    alerts: dict[str, int]
    node_id: str | None = None
    leader: str | None = None


class HealthCheckResult(Struct, frozen=True, kw_only=True):
    timestamp: datetime
    status: str
    message: str | None = None


class ContainerHealthReport(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    consecutive_failures: int
    restart_count: int
    health_history: list[HealthCheckResult]
    last_check: datetime | None = None


class NodeSample(Struct, frozen=True, kw_only=True):
    """Usages are percent of the whole node."""

    timestamp: datetime
    cpu_usage: float
    memory_usage: float
    disk_usage: float
    network_status: str
    message: str | None = None


class NodeHealthReport(Struct, frozen=True, kw_only=True):
    """Usages are percent of the whole node, None where it has not told."""

    id: str
    status: str
    network_status: str
    container_count: int
    health_history: list[NodeSample]
    last_seen: datetime | None = None
    cpu_usage: float | None = None
    memory_usage: float | None = None
    disk_usage: float | None = None
