"""Tells the cluster which published ports another program has on this node, whenever that changes."""

from __future__ import annotations

import structlog
import trio

from consensus.commands import ReportPorts
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.node import HostPort
from consensus.outcomes import Refusal
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
                problem = await self._report(taken)
                if problem is None:
                    backoff.reset()
                else:
                    log.info("port_report_delayed", reason=problem)
                    await trio.sleep(backoff.next_s())

    async def _report(self, taken: tuple[HostPort, ...]) -> str | None:
        """Why it was not taken: there is no leader, or not all nodes know such reports yet."""
        try:
            committed = await self._proposer.propose(ReportPorts(self._node_id, boot_id=self._boot_id, taken=taken))
        except ConsensusError as error:
            return str(error)
        return committed.outcome.message if isinstance(committed.outcome, Refusal) else None
