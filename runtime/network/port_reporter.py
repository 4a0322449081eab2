"""Tells the cluster which published ports another program has on this node, whenever that changes."""

from __future__ import annotations

from consensus.commands import ReportPorts
from consensus.machine import Machine
from consensus.model.node import HostPort, Node
from consensus.proposer import Proposer
from runtime.network.mesh import Mesh
from runtime.node_reporter import NodeReporter


def port_reporter(node_id: str, boot_id: str, machine: Machine, proposer: Proposer, mesh: Mesh) -> NodeReporter:
    def due(node: Node) -> ReportPorts | None:
        taken = tuple(sorted(HostPort(port.host_port, port.protocol) for port in mesh.taken))
        return None if node.taken_ports == taken else ReportPorts(node_id, boot_id=boot_id, taken=taken)

    return NodeReporter(
        node_id, boot_id, machine, proposer, what="port", due=due, changed=lambda: mesh.taken_changed.wait()
    )
