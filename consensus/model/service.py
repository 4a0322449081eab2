"""Services: the name under which the replicas of apps are reached. Endpoints follow the tasks' status."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct

from consensus.model.quantity import Duration


class Strategy(enum.StrEnum):
    """How requests are spread over a service's replicas."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    RANDOM = "random"
    IP_HASH = "ip-hash"


Threshold = Annotated[int, Meta(ge=1, le=100)]


class ServiceCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a service's replicas are probed from outside; `path` is for http."""

    protocol: str = "http"
    path: str = "/"
    interval: Duration = "30s"
    timeout: Duration = "5s"
    healthy_threshold: Threshold = 2
    unhealthy_threshold: Threshold = 3


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    load_balancing_strategy: str = Strategy.ROUND_ROBIN
    health_check: ServiceCheck | None = None
    created_at_s: float
