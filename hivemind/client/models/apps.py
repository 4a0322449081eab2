"""Containers, apps, and how they are changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


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
    image_digest: str | None = None
    app: str = ""
    namespace: str = "default"
    revision: int | None = None
    message: str = ""
    node_id: str | None = None
    engine_id: str | None = None
    started_at: datetime | None = None
    ip_address: str | None = None
    ip6_address: str | None = None
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
    warnings: list[str] = field(default_factory=list)


class App(Struct, frozen=True, kw_only=True):
    name: str
    image: str
    replicas: int
    service: str
    created_at: datetime
    namespace: str = "default"
    image_digest: str | None = None
    updated_at: datetime | None = None
    running_replicas: int = 0
    status: str = ""


class AppContainer(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    health: str = ""
    message: str = ""
    node_id: str | None = None


class Autoscaled(Struct, frozen=True, kw_only=True):
    at: datetime
    previous_replicas: int
    replicas: int
    reason: str


class Autoscale(Struct, frozen=True, kw_only=True):
    """`last` is the last time that the number was changed by it."""

    min: int
    max: int
    cpu_target: int
    tolerance: float = 0.1
    up_window: str | float = 0
    down_window: str | float = "5m"
    last: Autoscaled | None = None


class AppDetail(App, frozen=True, kw_only=True):
    mode: str = "replicated"
    image_architectures: list[str] = field(default_factory=list)
    resolve_image: bool = True
    containers: list[AppContainer] = field(default_factory=list)
    resources: Resources = Resources()
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    command: list[str] | None = None
    args: list[str] | None = None
    volumes: list[Mount] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    health_check: dict[str, Any] | None = None
    restart: dict[str, Any] | None = None
    depends_on: list[dict[str, Any]] = field(default_factory=list)
    min_available: int | str | None = None
    reschedule_after: str | float | None = None
    node_affinity: str | None = None
    service_affinity: str | None = None
    priority_class: str | None = None
    rebalance: bool = True
    autoscale: Autoscale | None = None


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
    warnings: list[str] = field(default_factory=list)


class Revision(Struct, frozen=True, kw_only=True):
    """What an app was; `spec` is a body of ``PUT /apps/{name}`` that leads back to it."""

    number: int
    image: str
    created_at: datetime
    reason: str
    current: bool
    spec: dict[str, Any]
    image_digest: str | None = None


# -- deployments


class DeploymentCreated(Struct, frozen=True, kw_only=True):
    id: str
    app_name: str
    message: str
    warnings: list[str] = field(default_factory=list)


class Deployment(Struct, frozen=True, kw_only=True):
    """`strategy` is its name in a list, and all of it in the details."""

    id: str
    app_name: str
    image: str
    replicas: int
    strategy: str | dict[str, Any]
    status: str
    created_at: datetime
    image_digest: str | None = None
    namespace: str = "default"
    message: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    hooks: list[dict[str, Any]] = field(default_factory=list)


class DeploymentProgress(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    current_step: int
    total_steps: int
    current_replicas: int
    target_replicas: int
    message: str
