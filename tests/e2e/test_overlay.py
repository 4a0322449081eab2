"""Containers of all nodes are on one network and know each other by name; what is taken away from it comes back."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from runtime.network.overlay.found import ROUTE_PROTOCOL
from runtime.network.overlay.plan import BRIDGE, VXLAN, WIREGUARD
from tests.e2e.lab_cluster import NOT_YET, LabCluster, LabNode
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab

Containers = list[dict[str, Any]]


def test_containers_reach_each_other_by_name_across_nodes_and_damage_is_mended(cluster: LabCluster) -> None:
    _wait_connected(cluster)
    web = cluster.deploy(1, "web", 3, service="shop.local", ports=[{"container_port": 80}])
    assert len({each["node_id"] for each in web}) == 3
    for each in web:
        subnet = cluster.get(2, f"/nodes/{each['node_id']}")["network"]["subnet"]
        assert each["ip_address"].startswith(subnet.removesuffix("0/24"))
    wait_until(lambda: _all_reach_all(cluster, web), 15, "every container reached from every other by name")
    wait_until(lambda: all(map(_shortcuts, map(cluster.node, cluster.numbers))), 15, "no tunnel on one LAN")
    addresses = {each["ip_address"] for each in web}
    wait_until(lambda: _named(cluster, web[0], "shop.local") == addresses, 15, "the service's name with all endpoints")

    first, third = cluster.node(1), cluster.node(3)
    on_third = next(each for each in web if each["node_id"] == third.name)
    assert third.sigterm() == 0
    assert _named(cluster, on_third, "shop.local"), "while its daemon restarts, another node's resolver answers"
    first.host.exec("ip", "link", "del", VXLAN)
    first.host.exec("ip", "link", "del", BRIDGE)
    cluster.node(2).host.exec("sh", "-c", "ip route flush proto 72; nft flush ruleset")
    third.host.exec("ip", "link", "set", VXLAN, "down")
    third.start()
    wait_until(lambda: _all_reach_all(cluster, web), 60, "the overlay whole again")
    cluster.wait_ready(cluster.numbers)
    _wait_connected(cluster)


def test_encrypted_packets_are_nobody_elses_to_read_and_the_tunnel_is_put_back(cluster: LabCluster) -> None:
    _wait_connected(cluster)
    web = cluster.deploy(1, "web", 3, service="shop.local", command=["httpd", "-f", "-p", "80", "-h", "/etc"])
    wait_until(lambda: _all_reach_all(cluster, web), 15, "every container reached from every other by name")
    assert _seen_on_the_wire(cluster, web), "the test sees what is not encrypted"
    assert cluster.cli(2, "overlay", "encrypt", "wireguard").returncode == 0
    wait_until(lambda: _encrypted(cluster), 30, "a tunnel of WireGuard on every node", errors=NOT_YET)
    wait_until(lambda: _all_reach_all(cluster, web), 30, "every container reached through it")
    assert not _seen_on_the_wire(cluster, web)

    cluster.node(1).host.exec("ip", "link", "del", WIREGUARD)
    cluster.node(2).host.exec("sh", "-c", "kill -9 $(pidof wireguard-go)")
    wait_until(lambda: _encrypted(cluster) and _all_reach_all(cluster, web), 30, "the tunnels again", errors=NOT_YET)
    assert cluster.cli(3, "overlay", "encrypt", "off").returncode == 0
    wait_until(lambda: not _tunnels(cluster, WIREGUARD) and _tunnels(cluster, VXLAN) == 3, 30, "plain tunnels again")


def _shortcuts(node: LabNode) -> bool:
    """Whether it sends to both others by direct routes."""
    routes = node.host.exec("ip", "route", "show", "proto", str(ROUTE_PROTOCOL)).splitlines()
    return sum("/24 via " in route and " dev eth0" in route for route in routes) == 2


def _tunnels(cluster: LabCluster, name: str) -> int:
    """How many nodes have the link."""
    return sum(f" {name}: " in cluster.node(number).host.exec("ip", "-o", "link") for number in cluster.numbers)


def _encrypted(cluster: LabCluster) -> bool:
    overlay = cluster.get(1, "/overlay")
    if overlay["encryption"] != "wireguard" or {each["overlay_status"] for each in overlay["nodes"]} != {"connected"}:
        return False
    return (_tunnels(cluster, WIREGUARD), _tunnels(cluster, VXLAN)) == (3, 0)


_MARK = "for-your-eyes-only"
_SNIFFER = f"""
import socket, sys, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
raw.bind(("eth0", 0))
print("ready", flush=True)
raw.settimeout(0.5)
deadline = time.monotonic() + 3
while time.monotonic() < deadline:
    try:
        if {_MARK.encode()!r} in raw.recv(65536):
            sys.exit(0)
    except TimeoutError:
        pass
sys.exit(3)
"""
"""Ends with 0 as soon as the mark passes, else with 3."""


def _seen_on_the_wire(cluster: LabCluster, containers: Containers) -> bool:
    """Whether the underlay shows what one container says to one on another node; it must have arrived there."""
    client, server = containers[0], containers[1]
    host = cluster.node(cluster.number_of(client["node_id"])).host
    log = host.folder / "log" / "sniffer.log"
    log.unlink(missing_ok=True)
    sniffer = host.popen([sys.executable, "-c", _SNIFFER], log=log)
    wait_until(lambda: log.exists() and "ready" in log.read_text(), 10, "the sniffer")
    answer = _run(
        cluster,
        client,
        f"echo 'GET /{_MARK}' | nc -w 2 {server['ip_address']} 80; wget -qO- http://{server['ip_address']}/hostname",
    )
    assert server["engine_id"][:12] in answer
    return sniffer.wait(20) == 0


def _wait_connected(cluster: LabCluster) -> None:
    def statuses() -> set[str]:
        return {each["overlay_status"] for each in cluster.get(1, "/overlay")["nodes"]}

    wait_until(lambda: statuses() == {"connected"}, 60, "a connected overlay", errors=NOT_YET)


def _run(cluster: LabCluster, container: dict[str, Any], command: str) -> str:
    node = cluster.node(cluster.number_of(container["node_id"]))
    return node.host.docker("exec", container["engine_id"], "sh", "-c", command, check=False)


def _all_reach_all(cluster: LabCluster, containers: Containers) -> bool:
    names = " ".join(each["id"] for each in containers)
    ask = f"for name in {names}; do ping -c1 -W1 $name >/dev/null || exit 1; done; echo reached"
    return all("reached" in _run(cluster, each, ask) for each in containers)


def _named(cluster: LabCluster, container: dict[str, Any], name: str) -> set[str]:
    """The addresses that a container is told for a name."""
    lines = _run(cluster, container, f"nslookup {name}").splitlines()
    return {line.split()[1] for line in lines if line.startswith("Address: ") and ":53" not in line}
