"""Alerts: conditions that a person should know of."""

from __future__ import annotations

import enum

from msgspec import Struct


class Severity(enum.StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    severity: Severity
    resource: str
    message: str
    created_at_s: float
    acknowledged_by: str | None = None
    acknowledged_at_s: float | None = None
