"""Tells the cluster which host ports another program has on this node, whenever that changes.

What is published is tried, and tells at once. What nobody has published yet is looked for, so that an app that will
publish it is not placed here first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
import trio

from consensus.commands import ReportPorts
from consensus.machine import Machine
from consensus.model.node import HostPort, Node
from consensus.proposer import Proposer
from runtime.network.listening import listening_tcp, listening_udp
from runtime.network.mesh import Mesh
from runtime.network.routes import PublishedPort
from runtime.node_reporter import NodeReporter

log = structlog.get_logger()

LOOK_S = 10.0
MOST_PORTS = 256
"""All nodes keep what one reports."""
_PROC = Path("/proc")


def ports_in_the_way(bind: str, proc: Path = _PROC) -> frozenset[PublishedPort]:
    """Where something listens, ours too. Without those that the kernel gives away by itself (ip_local_port_range):
    they come and go, and are found when they are tried. Raises OSError."""
    first, last = map(int, (proc / "sys/net/ipv4/ip_local_port_range").read_text().split())
    found: set[PublishedPort] = set()
    for name, read in (
        ("tcp", listening_tcp),
        ("tcp6", listening_tcp),
        ("udp", listening_udp),
        ("udp6", listening_udp),
    ):
        try:
            with (proc / "self/net" / name).open() as lines:
                next(lines, None)
                found.update(read(lines, bind))
        except FileNotFoundError:
            # A kernel without IPv6.
            continue
    return frozenset(port for port in found if not first <= port.host_port <= last)


class PortReporter:
    """`found` are ports where something listens that are not published and open here, as last looked."""

    def __init__(
        self,
        node_id: str,
        boot_id: str,
        machine: Machine,
        proposer: Proposer,
        mesh: Mesh,
        *,
        look: Callable[[], frozenset[PublishedPort]],
        look_s: float = LOOK_S,
    ) -> None:
        self._mesh = mesh
        self._look = look
        self._look_s = look_s
        self.found: frozenset[PublishedPort] = frozenset()

        def due(node: Node) -> ReportPorts | None:
            taken = self._taken()
            return None if node.taken_ports == taken else ReportPorts(node_id, boot_id=boot_id, taken=taken)

        self._reporter = NodeReporter(node_id, boot_id, machine, proposer, what="port", due=due, changed=self._changed)

    async def run(self) -> None:
        """Until cancelled."""
        await self._look_now()
        await self._reporter.run()

    def _taken(self) -> tuple[HostPort, ...]:
        first = sorted(self._mesh.taken)
        ports = [*first, *sorted(self.found - self._mesh.taken)][:MOST_PORTS]
        return tuple(sorted(HostPort(port.host_port, port.protocol) for port in ports))

    async def _changed(self) -> None:
        with trio.move_on_after(self._look_s):
            await self._mesh.taken_changed()
            return
        await self._look_now()

    async def _look_now(self) -> None:
        try:
            there = await trio.to_thread.run_sync(self._look)
        except OSError as error:
            log.warning("ports_not_looked_at", reason=str(error))
        else:
            self.found = there - self._mesh.open_ports
