"""Tells the cluster which published ports another program has on this node, whenever that changes."""

from __future__ import annotations

import structlog
import trio

from consensus.commands import ReportPorts
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.node import HostPort
from consensus.proposer import Proposer
from runtime.backoff import Backoff
from runtime.network.mesh import Mesh

log = structlog.get_logger()


class PortReporter:
    """`boot_id` names this run of the daemon: a report of an earlier one is void."""

    def __init__(self, node_id: str, boot_id: str, machine: Machine, proposer: Proposer, mesh: Mesh) -> None:
        self._node_id = node_id
        self._boot_id = boot_id
        self._machine = machine
        self._proposer = proposer
        self._mesh = mesh

    async def run(self) -> None:
        backoff = Backoff(first_s=0.5, last_s=10.0)
        while True:
            index, changed = self._machine.watch.index, self._mesh.taken_changed
            node = self._machine.state.nodes.get(self._node_id)
            taken = tuple(sorted(HostPort(port.host_port, port.protocol) for port in self._mesh.taken))
            if node is None or node.boot_id != self._boot_id:
                # The cluster has not heard of this run of the daemon yet.
                await self._machine.watch.changed(index)
            elif node.taken_ports == taken:
                await changed.wait()
            else:
                try:
                    await self._proposer.propose(ReportPorts(self._node_id, boot_id=self._boot_id, taken=taken))
                    backoff.reset()
                except ConsensusError as error:
                    log.info("port_report_delayed", reason=str(error))
                    await trio.sleep(backoff.next_s())
