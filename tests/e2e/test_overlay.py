"""Containers of all nodes are on one network, and what is taken away from it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.network.overlay.plan import VXLAN
from tests.e2e.lab_cluster import LabCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab


def test_containers_reach_each_other_across_nodes_and_damage_is_mended(cluster: LabCluster) -> None:
    _wait_connected(cluster)
    web = cluster.deploy(1, "web", 3, command=["httpd", "-f", "-p", "80"], ports=[{"container_port": 80}])
    assert len({each["node_id"] for each in web}) == 3
    for each in web:
        subnet = cluster.get(2, f"/nodes/{each['node_id']}")["network"]["subnet"]
        assert each["ip_address"].startswith(subnet.removesuffix("0/24"))
    _all_reach_all(cluster, web)

    first = cluster.node(1)
    first.host.exec("ip", "link", "del", VXLAN)
    cluster.node(2).host.exec("sh", "-c", "ip route flush proto 72; nft flush ruleset")
    third = cluster.node(3)
    third.kill9()
    third.host.exec("ip", "link", "set", VXLAN, "down")
    third.start()
    wait_until(lambda: _reach(cluster, web), 60, "the overlay whole again")
    cluster.wait_ready(cluster.numbers)
    _wait_connected(cluster)


def _wait_connected(cluster: LabCluster) -> None:
    def statuses() -> list[str]:
        return [each["overlay_status"] for each in cluster.get(1, "/overlay")["nodes"]]

    wait_until(lambda: set(statuses()) == {"connected"}, 30, "a connected overlay")


def _all_reach_all(cluster: LabCluster, containers: list[dict[str, Any]]) -> None:
    wait_until(lambda: _reach(cluster, containers), 15, "every container reached from every other")


def _reach(cluster: LabCluster, containers: list[dict[str, Any]]) -> bool:
    targets = " ".join(each["ip_address"] for each in containers)
    ask = f"for a in {targets}; do ping -c1 -W1 $a >/dev/null || exit 1; done"
    for each in containers:
        node = cluster.node(cluster.number_of(each["node_id"]))
        done = node.host.docker("exec", each["engine_id"], "sh", "-c", f"{ask}; echo reached", check=False)
        if "reached" not in done:
            return False
    return True
