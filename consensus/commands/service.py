"""Services."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.service import ServiceCheck


class UpdateService(Command, frozen=True):
    """Replaces what is given."""

    name: str
    load_balancing_strategy: str | None = None
    health_check: ServiceCheck | None = None
