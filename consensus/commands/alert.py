"""Alerts."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.alert import Alert


class RaiseAlert(Command, frozen=True):
    alert: Alert


class ResolveAlert(Command, frozen=True):
    alert_id: str


class AcknowledgeAlert(Command, frozen=True):
    """Somebody has seen it."""

    alert_id: str
    username: str
