"""Tells the cluster how this node's part of the overlay is, whenever that changes."""

from __future__ import annotations

from consensus.commands import ReportOverlay
from consensus.machine import Machine
from consensus.model.node import Node
from consensus.proposer import Proposer
from runtime.network.overlay.driver import Overlay
from runtime.node_reporter import NodeReporter


def overlay_reporter(
    node_id: str, boot_id: str, machine: Machine, proposer: Proposer, overlay: Overlay
) -> NodeReporter:
    def due(node: Node) -> ReportOverlay | None:
        report = overlay.report
        if report is None or node.overlay == report:
            return None
        return ReportOverlay(node_id=node_id, boot_id=boot_id, report=report)

    return NodeReporter(node_id, boot_id, machine, proposer, what="overlay", due=due, changed=overlay.reported)
