"""Services: the name under which the replicas of apps are reached. Endpoints follow the tasks' status."""

from __future__ import annotations

from msgspec import Struct


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    load_balancing_strategy: str = "round-robin"
    created_at_s: float
