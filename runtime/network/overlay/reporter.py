"""Tells the cluster how this node's part of the overlay is, whenever that changes."""

from __future__ import annotations

import structlog
import trio

from consensus.commands import ReportOverlay
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.proposer import Proposer
from runtime.backoff import Backoff
from runtime.network.overlay.driver import Overlay

log = structlog.get_logger()


class OverlayReporter:
    """`boot_id` names this run of the daemon: a report of an earlier one is void."""

    def __init__(self, node_id: str, boot_id: str, machine: Machine, proposer: Proposer, overlay: Overlay) -> None:
        self._node_id = node_id
        self._boot_id = boot_id
        self._machine = machine
        self._proposer = proposer
        self._overlay = overlay

    async def run(self) -> None:
        backoff = Backoff(first_s=0.5, last_s=10.0)
        while True:
            index = self._machine.watch.index
            node = self._machine.state.nodes.get(self._node_id)
            report = self._overlay.report
            if node is None or node.boot_id != self._boot_id:
                # The cluster has not heard of this run of the daemon yet.
                await self._machine.watch.changed(index)
            elif report is None or node.overlay == report:
                await self._overlay.reported()
            else:
                try:
                    await self._proposer.propose(
                        ReportOverlay(node_id=self._node_id, boot_id=self._boot_id, report=report)
                    )
                    backoff.reset()
                except ConsensusError as error:
                    log.info("overlay_report_delayed", reason=str(error))
                    await trio.sleep(backoff.next_s())
