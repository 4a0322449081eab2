"""What the API answers, as frozen values. Fields that the server has and these do not are passed over.

Times are datetimes in UTC, sizes bytes, `cpu` cores and `cpu_usage` percent, unless a name says otherwise.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A part of a list. `total` counts all that the filters let pass; the offsets are None where there is no page."""

    items: list[T]
    total: int
    next_offset: int | None = None
    prev_offset: int | None = None


class Done(Struct, frozen=True, kw_only=True):
    """What was done, and to what."""

    message: str
    id: str | None = None
    name: str | None = None


# -- containers


class Port(Struct, frozen=True, kw_only=True):
    """`node_port` is where it is reached at the container's `ip_address`, once it runs."""

    container_port: int
    host_port: int | None = None
    protocol: str = "tcp"
    node_port: int | None = None


class Mount(Struct, frozen=True, kw_only=True):
    name: str
    mount_path: str
    read_only: bool = False


class Resources(Struct, frozen=True, kw_only=True):
    """As they were given: memory is a number of bytes or a text such as 256M."""

    cpu: float = 0.0
    memory: str | int = 0
    cpu_limit: float | None = None
    memory_limit: str | int | None = None


class ContainerHealth(Struct, frozen=True, kw_only=True):
    status: str
    last_check: datetime | None = None


class Container(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    image: str
    status: str
    created_at: datetime
    app: str = ""
    message: str = ""
    node_id: str | None = None
    engine_id: str | None = None
    started_at: datetime | None = None
    ip_address: str | None = None
    ports: list[Port] = field(default_factory=list)
    health: ContainerHealth | None = None
    restart_count: int = 0
    exit_code: int | None = None


class ContainerDetail(Container, frozen=True, kw_only=True):
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    volumes: list[Mount] = field(default_factory=list)
    resources: Resources = Resources()


class Stats(Struct, frozen=True, kw_only=True):
    """`cpu_usage` is percent of one core; None: the engine does not count it."""

    cpu_usage: float
    memory_usage: int
    timestamp: datetime
    memory_limit: int | None = None
    network_rx: int | None = None
    network_tx: int | None = None
    block_read: int | None = None
    block_write: int | None = None


# -- apps


class Deployed(Struct, frozen=True, kw_only=True):
    app_id: str
    container_ids: list[str]
    service_id: str
    message: str


class App(Struct, frozen=True, kw_only=True):
    name: str
    image: str
    replicas: int
    service: str
    created_at: datetime
    updated_at: datetime | None = None
    running_replicas: int = 0
    status: str = ""


class AppContainer(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    node_id: str | None = None


class AppDetail(App, frozen=True, kw_only=True):
    containers: list[AppContainer] = field(default_factory=list)
    resources: Resources = Resources()
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    command: list[str] | None = None
    args: list[str] | None = None
    volumes: list[Mount] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    health_check: dict[str, Any] | None = None
    node_affinity: str | None = None
    service_affinity: str | None = None
    priority_class: str | None = None


class Scaled(Struct, frozen=True, kw_only=True):
    name: str
    previous_replicas: int
    new_replicas: int
    message: str


class Updated(Struct, frozen=True, kw_only=True):
    """The deployment `deployment_id` does it."""

    name: str
    deployment_id: str
    message: str


class Revision(Struct, frozen=True, kw_only=True):
    """What an app was; `spec` is a body of ``PUT /apps/{name}`` that leads back to it."""

    number: int
    image: str
    created_at: datetime
    reason: str
    current: bool
    spec: dict[str, Any]


# -- deployments


class DeploymentCreated(Struct, frozen=True, kw_only=True):
    id: str
    app_name: str
    message: str


class Deployment(Struct, frozen=True, kw_only=True):
    """`strategy` is its name in a list, and all of it in the details."""

    id: str
    app_name: str
    image: str
    replicas: int
    strategy: str | dict[str, Any]
    status: str
    created_at: datetime
    message: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None


class DeploymentProgress(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    current_step: int
    total_steps: int
    current_replicas: int
    target_replicas: int
    message: str


# -- services and volumes


class Endpoint(Struct, frozen=True, kw_only=True):
    container_id: str
    ip_address: str | None = None
    port: int | None = None
    node_id: str | None = None
    health: str | None = None


class Service(Struct, frozen=True, kw_only=True):
    """`health_check` is there in a service's details."""

    name: str
    domain: str
    endpoints: list[Endpoint]
    load_balancing_strategy: str
    apps: list[str] = field(default_factory=list)
    health_check: dict[str, Any] | None = None


class Volume(Struct, frozen=True, kw_only=True):
    name: str
    type: str
    created_at: datetime
    size: str | int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    used_by: list[str] = field(default_factory=list)


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


class NodeNetwork(Struct, frozen=True, kw_only=True):
    overlay_status: str
    subnet: str | None = None


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


class NodeDetail(_NodeFacts, frozen=True, kw_only=True):
    containers: list[NodeContainer]
    taints: list[Taint]
    network: NodeNetwork
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


# -- the cluster, and who may use it


class Cluster(Struct, frozen=True, kw_only=True):
    id: str
    node_id: str
    term: int
    voters: list[str]
    index: int
    nodes: int
    ready_nodes: int
    version: str
    created_at: datetime
    leader: str | None = None
    last_contact_ms: float | None = None


class Alert(Struct, frozen=True, kw_only=True):
    id: str
    severity: str
    resource: str
    message: str
    status: str
    created_at: datetime


class Login(Struct, frozen=True, kw_only=True):
    token: str
    user_id: str
    username: str
    expires_at: datetime
    role: str = ""


class ApiKey(Struct, frozen=True, kw_only=True):
    """`key`, the secret, is told once: where it was just created."""

    id: str
    name: str
    created_by: str
    created_at: datetime
    role: str = ""
    expires_at: datetime | None = None
    key: str | None = None


class User(Struct, frozen=True, kw_only=True):
    id: str
    username: str
    created_at: datetime
    role: str = ""


class Permission(Struct, frozen=True, kw_only=True):
    """`scope` is ``*``, ``namespace/<name>`` or ``tenant/<id>``."""

    verb: str
    resource: str
    scope: str = "*"


class Role(Struct, frozen=True, kw_only=True):
    name: str
    permissions: list[Permission]
    description: str = ""
    built_in: bool = False


class Group(Struct, frozen=True, kw_only=True):
    """Its members have its roles besides their own."""

    name: str
    roles: list[str]
    members: list[str]


class AuditRecord(Struct, frozen=True, kw_only=True):
    """Who did, or tried, what, from where. `outcome` is done, or the code of the error."""

    id: int
    timestamp: datetime
    user_id: str
    address: str
    action: str
    target: str
    outcome: str
    message: str = ""
    index: int = 0


class RememberedEvent(Struct, frozen=True, kw_only=True):
    id: str
    type: str
    data: dict[str, Any]


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a batch. `path` is below ``/api``."""

    method: str
    path: str
    body: Any = None


class OperationError(Struct, frozen=True, kw_only=True):
    code: str
    message: str


class OperationResult(Struct, frozen=True, kw_only=True):
    """`data` is as the operation answers it."""

    success: bool
    status: int = 0
    data: Any = None
    error: OperationError | None = None


Scalar = str | int | float | bool | None
