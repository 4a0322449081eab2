"""What becomes of names, requests and connections when nodes, daemons, engines and ports of the overlay fail (issue 6).

Long: `scripts/soak`'s marker. The seconds that are measured are printed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx2
import pytest

from runtime.network.overlay.plan import VXLAN_PORT
from tests.e2e.lab_cluster import NOT_YET, LabCluster
from tests.support.again import again_and_again
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.soak]

_HTTPD = ["httpd", "-f", "-p", "80", "-h", "/etc"]
_PUBLISHED = 8080


def _parts(cluster: LabCluster, number: int = 1) -> dict[int, tuple[str, str]]:
    """Each node's overlay status and its reason, as node `number` tells them."""
    nodes = cluster.get(number, "/overlay")["nodes"]
    return {cluster.number_of(each["node_id"]): (each["overlay_status"], each["overlay_message"]) for each in nodes}


def _wait_connected(cluster: LabCluster) -> None:
    def connected() -> bool:
        return {status for status, _ in _parts(cluster).values()} == {"connected"}

    wait_until(connected, 60, "a connected overlay", errors=NOT_YET)


@contextmanager
def _answers_to(what: Callable[[], object], pause_s: float) -> Iterator[list[tuple[float, object]]]:
    """Does it again and again; what came of it, with the time (Unix) when it began. An exception is an answer, too."""
    seen: list[tuple[float, object]] = []

    def work() -> None:
        began_s = time.time()
        try:
            seen.append((began_s, what()))
        except (OSError, AssertionError, httpx2.TransportError) as error:
            seen.append((began_s, error))

    with again_and_again(work, pause_s):
        yield seen


def test_a_blocked_tunnel_is_told_with_the_nodes_between_which_it_is_and_mended_when_it_opens(
    cluster: LabCluster,
) -> None:
    _wait_connected(cluster)
    wait_until(lambda: not _tunnelled(cluster), 15, "no tunnel on one LAN")
    with _fabric_that_drops_containers_addresses(cluster):
        wait_until(lambda: _tunnelled(cluster) == 6, 40, "all in the tunnel")
        _block_the_tunnel(cluster)


def _block_the_tunnel(cluster: LabCluster) -> None:
    blocked_s = time.monotonic()
    cluster.lab.switch.block_udp(VXLAN_PORT, 1, 2)

    def told() -> bool:
        parts = _parts(cluster, 3)
        return [parts[number][0] for number in cluster.numbers] == ["degraded", "degraded", "connected"]

    wait_until(told, 40, "the two nodes degraded", errors=NOT_YET)
    print(f"\nblocked: told after {time.monotonic() - blocked_s:.1f} s")
    one, two = cluster.node(1), cluster.node(2)
    question = f"is {VXLAN_PORT}/udp open between {one.address} and {two.address}?"
    assert _parts(cluster)[1] == ("degraded", f"{two.name} does not answer through the overlay: {question}")
    opened_s = time.monotonic()
    cluster.lab.unpartition()
    _wait_connected(cluster)
    print(f"opened: connected after {time.monotonic() - opened_s:.1f} s")


def test_a_fabric_that_drops_containers_addresses_is_passed_in_the_tunnel(cluster: LabCluster) -> None:
    """As clouds do; and one that begins to do so cuts no connection."""
    _wait_connected(cluster)
    web = cluster.deploy(1, "web", 3, command=["sh", "-c", "while :; do nc -l -p 81 -e cat; done"])
    by_node = {cluster.number_of(each["node_id"]): each for each in web}
    wait_until(lambda: not _tunnelled(cluster), 15, "no tunnel on one LAN")
    with _connection(cluster, by_node[1], by_node[2]) as echoes:
        with _fabric_that_drops_containers_addresses(cluster):
            began_s, before = time.monotonic(), echoes()
            wait_until(lambda: _tunnelled(cluster) == 6, 40, "all in the tunnel")
            print(f"\ndropped: all in the tunnel after {time.monotonic() - began_s:.1f} s")
            wait_until(lambda: echoes() > before + 5, 30, "the same connection in the tunnel")
            assert {status for status, _ in _parts(cluster).values()} == {"connected"}
        wait_until(lambda: not _tunnelled(cluster), 15, "no tunnel any more")
        before = echoes()
        wait_until(lambda: echoes() > before + 5, 10, "the same connection without it")


@contextmanager
def _fabric_that_drops_containers_addresses(cluster: LabCluster) -> Iterator[None]:
    rule = ("PREROUTING", "-i", "eth0", "-s", "10.244.0.0/16", "-j", "DROP")
    hosts = [cluster.node(number).host for number in cluster.numbers]
    for host in hosts:
        host.exec("iptables", "-t", "raw", "-I", *rule)
    try:
        yield
    finally:
        for host in hosts:
            host.exec("iptables", "-t", "raw", "-D", *rule)


def _tunnelled(cluster: LabCluster) -> int:
    """How many ways from one node to another lead through the tunnel."""
    routes = [cluster.node(number).host.exec("ip", "route") for number in cluster.numbers]
    return len(re.findall("^10.244.*/24 .* dev hivemind-vxlan ", "\n".join(routes), re.MULTILINE))


def test_a_killed_node_is_in_no_answer_as_soon_as_membership_says_so(cluster: LabCluster) -> None:
    _wait_connected(cluster)
    ports = [{"container_port": 80, "host_port": _PUBLISHED}]
    web = cluster.deploy(1, "web", 6, service="shop.local", command=_HTTPD, ports=ports)
    leader = cluster.leader(1)
    dead = next(number for number in (3, 2) if number != leader)
    asked = next(number for number in cluster.numbers if number != dead)
    gone = {each["ip_address"] for each in web if each["node_id"] == cluster.node(dead).name}
    host, resolver = cluster.node(asked).host, cluster.get(asked, f"/nodes/{cluster.node(asked).name}")["network"]
    gateway = resolver["subnet"].replace("0/24", "1")
    url = f"http://{cluster.node(asked).address}:{_PUBLISHED}/hostname"

    def request() -> int:
        return httpx2.get(url, timeout=1.0, headers={"Connection": "close"}, verify=False).status_code

    def names() -> set[str]:
        return set(host.exec("dig", f"@{gateway}", "shop.local", "+short", "+tries=1", "+time=2").split())

    wait_until(lambda: len(names()) == 6, 15, "all six in the name")
    with _answers_to(request, 0.02) as requests, _answers_to(names, 0.01) as answers:
        killed_s = time.time()
        cluster.node(dead).host.kill_host()
        found = re.compile(rf"^(\S+) .*nodes_gone.*{cluster.node(dead).name}", re.MULTILINE)
        log = cluster.node(asked).log
        wait_until(lambda: found.search(log.read_text()), 30, "membership to say so")
        cluster.wait_running(asked, "web", 6, on=set(cluster.numbers) - {dead}, timeout_s=60)
        time.sleep(2)
    match = found.search(log.read_text())
    assert match is not None
    said_s = datetime.fromisoformat(match[1]).timestamp()
    failed = [at for at, answer in requests if answer != 200]
    stale = [at for at, answer in answers if isinstance(answer, set) and answer & gone]
    print(
        f"\nmembership says so {said_s - killed_s:.2f} s after the death; the last answer with an address of the dead"
        f" was asked for {1000 * (max(stale) - said_s):+.0f} ms after that; {len(failed)} of {len(requests)} requests"
        f" failed, the last was begun {max(failed, default=killed_s) - killed_s:.2f} s after the death"
    )
    assert max(stale) < said_s + 0.1
    assert max(failed, default=killed_s) < said_s + 3
    cluster.restart_host(dead)


def test_a_killed_daemon_and_a_restarted_engine_leave_connections_and_put_all_back(cluster: LabCluster) -> None:
    _wait_connected(cluster)
    serve = "while :; do nc -l -p 81 -e cat; done"
    web = cluster.deploy(1, "web", 3, command=["sh", "-c", f"httpd -p 80 -h /etc; {serve}"])
    by_node = {cluster.number_of(each["node_id"]): each for each in web}
    rules = _engine_rules(cluster)
    with _connection(cluster, by_node[1], by_node[2]) as echoes:
        before = echoes()
        for number in (1, 2):
            cluster.node(number).kill9()
        time.sleep(2)
        assert echoes() > before, "packets pass without a daemon"
        cluster.node(1).host.exec("nft", "flush", "ruleset")
        for number in (1, 2):
            cluster.node(number).start()
        cluster.wait_ready(cluster.numbers)
        _wait_connected(cluster)
        wait_until(lambda: _engine_rules(cluster) == rules, 20, "the engine's rules, flushed while no daemon ran")
        before = echoes()
        wait_until(lambda: echoes() > before + 5, 10, "the same connection, after the daemons' restart")

    host = cluster.node(1).host
    host.kill_engine()
    host.exec("ip", "link", "del", "hivemind-vxlan")
    host.exec("nft", "flush", "ruleset")
    host.start_engine()
    _wait_connected(cluster)
    wait_until(lambda: _all_reach_all(cluster, cluster.containers(2, "web")), 60, "all reached again", errors=NOT_YET)


def _engine_rules(cluster: LabCluster) -> list[str]:
    """Of node 1, in order."""
    return re.findall("^-A .*DOCKER.*", cluster.node(1).host.exec("iptables-save"), re.MULTILINE)


@contextmanager
def _connection(cluster: LabCluster, client: dict[str, Any], server: dict[str, Any]) -> Iterator[Callable[[], int]]:
    """One TCP connection between containers over which a line goes to and fro ten times a second.

    Answers with how many came back.
    """
    command = (
        'rm -f /tmp/back; i=0; while [ -z "$(cat /tmp/stop 2>/dev/null)" ]; do echo $i; i=$((i+1)); sleep 0.1; done'
        f" | nc {server['ip_address']} 81 >/tmp/back"
    )
    docker = cluster.node(cluster.number_of(client["node_id"])).host.docker

    def echoes() -> int:
        return int(docker("exec", client["engine_id"], "sh", "-c", "wc -l < /tmp/back").strip())

    docker("exec", "-d", client["engine_id"], "sh", "-c", command)
    wait_until(lambda: docker("exec", client["engine_id"], "sh", "-c", "cat /tmp/back", check=False), 15, "an echo")
    try:
        yield echoes
    finally:
        docker("exec", client["engine_id"], "sh", "-c", "echo y > /tmp/stop", check=False)


def _all_reach_all(cluster: LabCluster, containers: list[dict[str, Any]]) -> bool:
    names = " ".join(each["id"] for each in containers)
    ask = f"for name in {names}; do ping -c1 -W1 $name >/dev/null || exit 1; done; echo reached"
    for each in containers:
        host = cluster.node(cluster.number_of(each["node_id"])).host
        if "reached" not in host.docker("exec", each["engine_id"], "sh", "-c", ask, check=False):
            return False
    return True
