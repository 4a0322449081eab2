"""What is decided about the overlay."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.network import Encryption, OverlayReport


class ExtendOverlay(Command, frozen=True):
    """Adds a range that node subnets are handed out of; `ipv6` says that it is one of IPv6."""

    range: str
    ipv6: bool = False


class EncryptOverlay(Command, frozen=True):
    """Says how packets between nodes are sealed from now on."""

    encryption: Encryption


class ReportOverlay(Command, frozen=True):
    """What the node's daemon of this run found of its part of the overlay."""

    node_id: str
    boot_id: str
    report: OverlayReport
