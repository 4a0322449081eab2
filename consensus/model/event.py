"""Events: what every node tells its clients, made from the same applied entries everywhere."""

from __future__ import annotations

import enum
from typing import Any

from msgspec import Struct


class EventType(enum.StrEnum):
    """The WebSocket's spelling; SSE writes the first underscore as a dot (design.md §6)."""

    CONTAINER_CREATED = "container_created"
    CONTAINER_STARTED = "container_started"
    CONTAINER_STOPPED = "container_stopped"
    CONTAINER_DELETED = "container_deleted"
    CONTAINER_PREEMPTED = "container_preempted"
    CONTAINER_HEALTH_CHANGED = "container_health_changed"
    NODE_JOINED = "node_joined"
    NODE_LEFT = "node_left"
    NODE_HEALTH_CHANGED = "node_health_changed"
    SERVICE_UPDATED = "service_updated"
    APP_SCALED = "app_scaled"
    ALERT_CREATED = "alert_created"
    ALERT_RESOLVED = "alert_resolved"
    DEPLOYMENT_STARTED = "deployment_started"
    DEPLOYMENT_STEP = "deployment_step"
    DEPLOYMENT_COMPLETED = "deployment_completed"
    DEPLOYMENT_FAILED = "deployment_failed"
    DEPLOYMENT_ROLLED_BACK = "deployment_rolled_back"
    RUN_STARTED = "run_started"
    RUN_SUCCEEDED = "run_succeeded"
    RUN_FAILED = "run_failed"
    RUN_STOPPED = "run_stopped"
    RUN_SKIPPED = "run_skipped"
    BACKUP_STARTED = "backup_started"
    BACKUP_COMPLETED = "backup_completed"
    BACKUP_FAILED = "backup_failed"


class EventPosition(Struct, frozen=True, order=True):
    """Where an event stands in the history: the log index of its entry, and its number within it."""

    index: int
    number: int


class Event(Struct, frozen=True, kw_only=True):
    """`resources` are what it is about, such as ``container/web-1.3f``, ``app/web`` and ``node/node-1``.

    `namespace`: where that is; None: in none, as nodes are.
    """

    position: EventPosition
    type: EventType
    resources: list[str]
    data: dict[str, Any]
    namespace: str | None = None


class EventId(Struct, frozen=True):
    """``<epoch>.<log index>.<n>``: the same for the same event at every node."""

    epoch: str
    position: EventPosition

    def __str__(self) -> str:
        return f"{self.epoch}.{self.position.index}.{self.position.number}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Raises ValueError where `text` is not an event id."""
        parts = text.split(".")
        if len(parts) != 3 or not parts[1].isdecimal() or not parts[2].isdecimal():
            raise ValueError(f"expected an event id <epoch>.<index>.<n>, got {text!r}")
        return cls(parts[0], EventPosition(int(parts[1]), int(parts[2])))
