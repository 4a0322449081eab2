"""GET /overlay and POST /overlay/ranges."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from consensus import commands
from consensus.model.network import OverlayMode, OverlayReport, OverlayStatus


async def test_each_nodes_part_is_told_with_the_reason(admin: Any, world: Any) -> None:
    node = world.machine.state.nodes["node-1"]
    facts = replace(node.facts, overlay=OverlayMode.VXLAN, overlay_reason="")
    await world.propose(commands.StartNode(node_id="node-1", boot_id="b2", facts=facts))
    starting = {"subnet": "10.244.0.0/24", "overlay_status": "degraded", "overlay_message": "its daemon is starting"}
    assert (await admin.get("/nodes/node-1"))["network"] == starting
    report = OverlayReport(OverlayStatus.DEGRADED, "no iptables")
    await world.propose(commands.ReportOverlay(node_id="node-1", boot_id="b2", report=report))
    assert (await admin.get("/overlay")) == {
        "ranges": ["10.244.0.0/16"],
        "subnets_total": 256,
        "subnets_used": 1,
        "nodes": [
            {
                "node_id": "node-1",
                "mode": "vxlan",
                "subnet": "10.244.0.0/24",
                "overlay_status": "degraded",
                "overlay_message": "no iptables",
            }
        ],
    }


async def test_ranges_are_added_and_wrong_ones_refused(admin: Any) -> None:
    status, answer = await admin.send("POST", "/overlay/ranges", {"range": "10.246.0.0/16"})
    assert (status, answer["name"]) == (201, "10.246.0.0/16")
    assert (await admin.get("/overlay"))["subnets_total"] == 512
    status, error = await admin.send("POST", "/overlay/ranges", {"range": "10.246.0.0/20"})
    assert (status, error["message"]) == (400, "range: 10.246.0.0/20 overlaps with 10.246.0.0/16")
    assert (await admin.send("POST", "/overlay/ranges", {"ranges": "10.247.0.0/16"}))[0] == 400
