"""GET and PUT /overlay, and POST /overlay/ranges."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from consensus import commands
from consensus.model.network import Capability, OverlayMode, OverlayReport, OverlayStatus

_CANNOT = Capability("wireguard", False, "missing: wg")


async def test_each_nodes_part_is_told_with_the_reason(admin: Any, world: Any) -> None:
    node = world.machine.state.nodes["node-1"]
    facts = replace(node.facts, overlay=OverlayMode.VXLAN, overlay_reason="")
    await world.propose(commands.StartNode(node_id="node-1", boot_id="b2", facts=facts))
    starting = {"subnet": "10.244.0.0/24", "overlay_status": "degraded", "overlay_message": "its daemon is starting"}
    starting |= {"capabilities": [], "subnet6": None}
    assert (await admin.get("/nodes/node-1"))["network"] == starting
    report = OverlayReport(OverlayStatus.DEGRADED, "no iptables", (_CANNOT,))
    await world.propose(commands.ReportOverlay(node_id="node-1", boot_id="b2", report=report))
    assert (await admin.get("/overlay")) == {
        "ranges": ["10.244.0.0/16"],
        "encryption": "off",
        "subnets_total": 256,
        "subnets_used": 1,
        "nodes": [
            {
                "node_id": "node-1",
                "mode": "vxlan",
                "subnet": "10.244.0.0/24",
                "subnet6": None,
                "overlay_status": "degraded",
                "overlay_message": "no iptables",
                "capabilities": [{"name": "wireguard", "available": False, "detail": "missing: wg"}],
            }
        ],
    }


async def test_ranges_are_added_and_wrong_ones_refused(admin: Any, world: Any) -> None:
    status, answer = await admin.send("POST", "/overlay/ranges", {"range": "10.246.0.0/16"})
    assert (status, answer["name"]) == (201, "10.246.0.0/16")
    assert (await admin.get("/overlay"))["subnets_total"] == 512
    status, error = await admin.send("POST", "/overlay/ranges", {"range": "10.246.0.0/20"})
    assert (status, error["message"]) == (400, "range: 10.246.0.0/20 overlaps with 10.246.0.0/16")
    node = world.machine.state.nodes["node-1"]
    facts = replace(node.facts, address="172.20.3.4")
    await world.propose(commands.StartNode(node_id="node-1", boot_id="b2", facts=facts))
    status, error = await admin.send("POST", "/overlay/ranges", {"range": "172.20.0.0/16"})
    assert (status, error["message"]) == (400, "range: 172.20.0.0/16 has the address of node node-1, 172.20.3.4")
    assert (await admin.send("POST", "/overlay/ranges", {"ranges": "10.247.0.0/16"}))[0] == 400


async def test_encryption_is_turned_on_or_refused_with_the_node_that_cannot(admin: Any, world: Any) -> None:
    facts = replace(world.machine.state.nodes["node-1"].facts, overlay=OverlayMode.VXLAN, overlay_key="key")
    await world.propose(commands.StartNode(node_id="node-1", boot_id="b2", facts=facts))
    for told in (_CANNOT, replace(_CANNOT, available=True)):
        report = OverlayReport(OverlayStatus.CONNECTED, "", (told,))
        await world.propose(commands.ReportOverlay(node_id="node-1", boot_id="b2", report=report))
        status, answer = await admin.send("PUT", "/overlay", {"encryption": "wireguard"})
        assert status == (200 if told.available else 409)
        if not told.available:
            assert answer["message"] == "node 'node-1' cannot encrypt: missing: wg"
    assert (await admin.get("/overlay"))["encryption"] == "wireguard"
    status, error = await admin.send("PUT", "/overlay", {"encryption": "ipsec"})
    assert (status, "encryption" in error["message"]) == (400, True)
