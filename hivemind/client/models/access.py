"""The cluster, and who may use it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class Cluster(Struct, frozen=True, kw_only=True):
    id: str
    node_id: str
    term: int
    voters: list[str]
    index: int
    nodes: int
    ready_nodes: int
    version: str
    feature_level: int = 1
    created_at: datetime
    leader: str | None = None
    last_contact_ms: float | None = None


class GossipKey(Struct, frozen=True, kw_only=True):
    fingerprint: str
    in_use: bool
    used_by: list[str]
    held_by: list[str]
    unanswered: list[str]


class LeaderChanged(Struct, frozen=True, kw_only=True):
    leader: str
    message: str
    previous_leader: str | None = None


class GossipKeyChanged(Struct, frozen=True, kw_only=True):
    fingerprint: str
    message: str


class Alert(Struct, frozen=True, kw_only=True):
    id: str
    severity: str
    resource: str
    message: str
    status: str
    created_at: datetime
    namespace: str | None = None


class Setting(Struct, frozen=True, kw_only=True):
    """`value` holds now; without `set_at` it is the default."""

    key: str
    value: bool | int | float | str
    default: bool | int | float | str
    expected: str = ""
    description: str = ""
    set_at: datetime | None = None


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


class PriorityClass(Struct, frozen=True, kw_only=True):
    """The higher `value` is placed first."""

    name: str
    value: int
    description: str = ""
    built_in: bool = False
