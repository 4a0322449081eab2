"""Containers with two addresses: IPv6 beside IPv4, by name, across nodes, under policies and encrypted (issue 6).

Long: `scripts/soak`'s marker.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.e2e.lab_cluster import NOT_YET, LabCluster
from tests.e2e.test_load_balancing import POLICIES
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.soak]

_HTTPD = ["httpd", "-f", "-p", "80", "-h", "/etc"]


def test_a_range_of_ipv6_is_a_second_network_for_all(cluster: LabCluster) -> None:
    assert cluster.cli(1, "overlay", "extend", "fd12:3456:789a::/48").returncode == 0
    off = "its containers have no IPv6: it is turned off: net.ipv6.conf.all.disable_ipv6 is 1"
    wait_until(lambda: _parts(cluster) == {("degraded", off)}, 60, "what is missing", errors=NOT_YET)
    for number in cluster.numbers:
        settings = [f"net.ipv6.conf.{which}.disable_ipv6=0" for which in ("all", "default")]
        cluster.node(number).host.exec("sysctl", "-qw", *settings)
    wait_until(lambda: _parts(cluster) == {("connected", "")}, 60, "IPv6 on every node", errors=NOT_YET)

    web = cluster.deploy(1, "web", 3, service="shop.local", command=_HTTPD, labels={"role": "server"})
    foe = cluster.deploy(1, "foe", 3, labels={"role": "foe"})
    for each in web:
        subnet = cluster.get(2, f"/nodes/{each['node_id']}")["network"]["subnet6"]
        assert ipaddress.ip_address(each["ip6_address"]) in ipaddress.ip_network(subnet)
    addresses = {each["ip6_address"] for each in web}
    wait_until(lambda: _named(cluster, foe[0], "shop.local") >= addresses, 20, "the name's addresses of IPv6")
    wait_until(lambda: _reach(cluster, [*web, *foe], web) == 18, 30, "each server reached by each container")

    rule = {"ports": [{"port_min": 80}], "from": [{"selector": {"labels": {"role": "server"}}}]}
    policy = {"name": "friends", "selector": {"labels": {"role": "server"}}, "ingress_rules": [rule]}
    cluster.post(2, POLICIES, policy)
    wait_until(lambda: (_reach(cluster, web, web), _reach(cluster, foe, web)) == (9, 0), 30, "only friends")

    assert cluster.cli(2, "overlay", "encrypt", "wireguard").returncode == 0
    wait_until(lambda: _parts(cluster) == {("connected", "")}, 60, "an encrypted overlay", errors=NOT_YET)
    wait_until(lambda: (_reach(cluster, web, web), _reach(cluster, foe, web)) == (9, 0), 30, "the same through it")
    cluster.delete(1, f"{POLICIES}/friends")


def _parts(cluster: LabCluster) -> set[tuple[str, str]]:
    return {(each["overlay_status"], each["overlay_message"]) for each in cluster.get(1, "/overlay")["nodes"]}


def _run(cluster: LabCluster, container: dict[str, Any], command: str) -> str:
    host = cluster.node(cluster.number_of(container["node_id"])).host
    return host.docker("exec", container["engine_id"], "sh", "-c", command, check=False)


def _named(cluster: LabCluster, container: dict[str, Any], name: str) -> set[str]:
    lines = _run(cluster, container, f"nslookup -type=AAAA {name}").splitlines()
    return {line.split()[1] for line in lines if line.startswith("Address: ")}


def _reach(cluster: LabCluster, clients: list[dict[str, Any]], servers: list[dict[str, Any]]) -> int:
    """How many pairs of client and server speak HTTP over IPv6."""
    ask = r"(printf 'GET /hostname HTTP/1.0\r\n\r\n' | nc -w 2 %s 80 | grep -q '200 OK' && echo reached) &"
    script = " ".join(ask % server["ip6_address"] for server in servers) + " wait"
    return sum(_run(cluster, client, script).split().count("reached") for client in clients)
