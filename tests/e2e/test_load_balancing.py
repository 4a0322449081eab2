"""Virtual addresses, published ports and network policies on three hosts, by the kernel's rules (issue 6)."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.lab_cluster import LabCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab

SERVE_HOSTNAME = ["sh", "-c", "httpd -p 80 -h /etc; exec httpd -f -p 81 -h /etc"]
PORTS = (80, 81)
POLICIES = "/security/network-policies"
REQUEST = "GET /hostname HTTP/1.0\r\n\r\n"
PUBLISHED = 8080

Cell = tuple[str, str, int]
"""Who asks (an app), from the server's node or another one, and at which port."""


def asked_from_outside(cluster: LabCluster, number: int, count: int) -> Counter[str]:
    """Which containers answer at a node's published port."""
    answered: Counter[str] = Counter()
    for _ in range(count):
        with socket.create_connection((cluster.node(number).address, PUBLISHED), timeout=10) as client:
            client.sendall(REQUEST.encode())
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        answered[answer.split(b"\r\n\r\n")[-1].decode().strip()] += 1
    return answered


def asked_by(cluster: LabCluster, container: dict[str, Any], address: str, port: int, count: int = 1) -> Counter[str]:
    """The same by a container; what gets no answer is not in it."""
    ask = f"for i in $(seq {count}); do printf '{REQUEST}' | nc -w 2 {address} {port} | tail -n1; done"
    host = cluster.node(cluster.number_of(container["node_id"])).host
    shown = ask.replace("\r", "\\r").replace("\n", "\\n")
    return Counter(host.docker("exec", container["engine_id"], "sh", "-c", shown, check=False).split())


def test_every_node_spreads_over_all_replicas_and_flushed_rules_come_back(cluster: LabCluster) -> None:
    wait_until(lambda: _statuses(cluster) == {"connected"}, 60, "a connected overlay")
    ports = [{"container_port": 80, "host_port": PUBLISHED}]
    web = cluster.deploy(1, "web", 6, command=SERVE_HOSTNAME, ports=ports)
    names = {each["engine_id"][:12] for each in web}
    service = cluster.get(2, "/services/web")
    even = dict.fromkeys(names, 3)

    for number in cluster.numbers:
        wait_until(lambda n=number: "published_tcp_8080" in _rules(cluster, n), 10, f"rules on node {number}")
        wait_until(lambda n=number: asked_from_outside(cluster, n, 18) == even, 20, f"even turns at node {number}")
    # Among them the container itself.
    assert asked_by(cluster, web[0], service["virtual_ip"], 80, 18) == even

    with cluster.client(3) as client:
        client.put("/api/services/web", json={"load_balancing_strategy": "least-connections"}).raise_for_status()
    # What the kernel cannot do goes through the daemon.
    wait_until(lambda: asked_by(cluster, web[0], service["virtual_ip"], 80, 12).keys() == names, 20, "proxied turns")

    cluster.node(1).host.exec("nft", "flush", "ruleset")
    with cluster.client(3) as client:
        client.put("/api/services/web", json={"load_balancing_strategy": "round-robin"}).raise_for_status()
    wait_until(lambda: asked_by(cluster, web[0], service["virtual_ip"], 80, 18) == even, 20, "the rules again")
    wait_until(lambda: _can_make_networks(cluster, 1), 10, "the engine's own rules again")


def test_policies_hold_for_every_pair_of_containers_at_every_time(cluster: LabCluster) -> None:
    wait_until(lambda: _statuses(cluster) == {"connected"}, 60, "a connected overlay")
    ports = [{"container_port": port} for port in PORTS]
    (server,) = cluster.deploy(1, "server", 1, command=SERVE_HOSTNAME, ports=ports, labels={"role": "server"})
    clients = {app: cluster.deploy(1, app, 3, labels={"role": app}) for app in ("friend", "foe")}
    everything = set(_cells(clients, server))
    assert {app for app, _, _ in everything} == {"friend", "foe"}
    _expect(cluster, clients, server, everything)

    policy: dict[str, Any] = {
        "name": "friends",
        "selector": {"labels": {"role": "server"}},
        "ingress_rules": [
            {"ports": [{"port_min": 80}], "from": [{"selector": {"labels": {"role": "friend"}}}]},
        ],
        "traffic_logging": True,
    }
    cluster.post(2, POLICIES, policy)
    _expect(cluster, clients, server, {cell for cell in everything if cell[0] == "friend" and cell[2] == 80})
    node = cluster.node(cluster.number_of(server["node_id"]))
    wait_until(lambda: "policy_traffic" in node.log.read_text(), 5, "a logged connection")

    policy["ingress_rules"] = [{"ports": [{"port_min": 81}], "from": [{"ip_block": "10.244.0.0/16"}]}]
    with cluster.client(3) as client:
        client.put(f"/api{POLICIES}/friends", json=policy).raise_for_status()
    _expect(cluster, clients, server, {cell for cell in everything if cell[2] == 81})

    egress = {
        "name": "no-way-out",
        "selector": {"labels": {"role": "foe"}},
        "policy_types": ["egress"],
        "egress_rules": [{"to": [{"ip_block": "192.0.2.0/24"}]}],
    }
    cluster.post(3, POLICIES, egress)
    _expect(cluster, clients, server, {cell for cell in everything if cell[0] == "friend" and cell[2] == 81})
    for name in ("friends", "no-way-out"):
        cluster.delete(1, f"{POLICIES}/{name}")
    _expect(cluster, clients, server, everything)


def _statuses(cluster: LabCluster) -> set[str]:
    return {each["overlay_status"] for each in cluster.get(1, "/overlay")["nodes"]}


def _can_make_networks(cluster: LabCluster, number: int) -> bool:
    """Docker's chains are needed for that, and for published ports."""
    docker = cluster.node(number).host.docker
    made = bool(docker("network", "create", "another", check=False))
    docker("network", "rm", "another", check=False)
    return made


def _rules(cluster: LabCluster, number: int) -> str:
    return cluster.node(number).host.exec("nft", "list", "ruleset")


def _cells(clients: dict[str, list[dict[str, Any]]], server: dict[str, Any]) -> Iterator[Cell]:
    for app, containers in clients.items():
        for container in containers:
            for port in PORTS:
                yield app, _where(container, server), port


def _where(container: dict[str, Any], server: dict[str, Any]) -> str:
    return "same" if container["node_id"] == server["node_id"] else "other"


def _reached(cluster: LabCluster, app: str, container: dict[str, Any], server: dict[str, Any]) -> Iterator[Cell]:
    """The ports at which `container` got an answer, all asked at once: what is refused is only waited for."""
    request, address = r"GET /hostname HTTP/1.0\r\n\r\n", server["ip_address"]
    ask = f"printf '{request}' | nc -w 1 {address} $p | tail -n1 | grep -q . && echo $p"
    ports = " ".join(map(str, PORTS))
    host = cluster.node(cluster.number_of(container["node_id"])).host
    script = f"for p in {ports}; do ({ask}) & done; wait"
    for port in host.docker("exec", container["engine_id"], "sh", "-c", script, check=False).split():
        yield app, _where(container, server), int(port)


def _expect(
    cluster: LabCluster, clients: dict[str, list[dict[str, Any]]], server: dict[str, Any], allowed: set[Cell]
) -> None:
    """Every client reaches the server at just these cells; each node may hear of a change a moment later."""

    def table() -> bool:
        with ThreadPoolExecutor() as pool:
            asked = [
                pool.submit(lambda a=app, c=container: set(_reached(cluster, a, c, server)))
                for app, containers in clients.items()
                for container in containers
            ]
        seen[:] = [set().union(*(each.result() for each in asked))]
        return seen == [allowed]

    seen: list[set[Cell]] = []
    try:
        wait_until(table, 40, "the table")
    except AssertionError as error:
        raise AssertionError(f"expected {sorted(allowed)}, got {sorted(*seen)}") from error
