"""The table of network policies on live containers, before, during and after an update and a move (issue 6, bar 3).

Rows are clients {allowed label, other label, allowed range, other range} on {the same node, other nodes}, columns
servers and ports, for ingress and for egress. What each cell shall be is worked out here from the policies by a few
lines that know nothing of nftables. Long: `scripts/soak`'s marker.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from tests.e2e.lab_cluster import NOT_YET, LabCluster
from tests.e2e.test_load_balancing import POLICIES, PORTS, SERVE_HOSTNAME
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.soak]

Container = dict[str, Any]
_CLIENTS = ("friend", "foe")


def test_every_cell_is_right_before_during_and_after_an_update_and_a_move(cluster: LabCluster) -> None:
    ports = [{"container_port": port} for port in PORTS]
    cluster.deploy(1, "server", 3, command=SERVE_HOSTNAME, ports=ports, labels={"role": "server"})
    for app in _CLIENTS:
        cluster.deploy(1, app, 3, labels={"role": app})
    table = Table(cluster)
    table.expect([])

    near, far = (cluster.get(1, f"/nodes/{cluster.node(number).name}")["network"]["subnet"] for number in (1, 2))
    first = _ingress([("friend", 80), (near, 80)])
    table.change("POST", first, [], [first])
    second = _ingress([("friend", 80), ("friend", 81), (far, 81)])
    table.change("PUT", second, [first], [second])

    inward = _egress("foe", [("server", 81), (near, 80)])
    table.change("POST", inward, [second], [second, inward])
    outward = _egress("foe", [("server", 80), ("server", 81)])
    table.change("PUT", outward, [second, inward], [second, outward])

    with table.never_wrong([second, outward]):
        cluster.post(1, f"/nodes/{cluster.node(3).name}/maintenance", {"enable": True, "drain": True})
        for app in ("server", *_CLIENTS):
            cluster.wait_running(1, app, 3, on=[1, 2], timeout_s=90)
    table.expect([second, outward])
    cluster.post(1, f"/nodes/{cluster.node(3).name}/maintenance", {"enable": False})
    for policy in (second, outward):
        cluster.delete(1, f"{POLICIES}/{policy['name']}")
    table.expect([])


def _peer(text: str) -> dict[str, Any]:
    return {"ip_block": text} if "/" in text else {"selector": {"labels": {"role": text}}}


def _ingress(rules: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """Only these peers, at these ports, reach the servers."""
    return {
        "name": "inward",
        "selector": {"labels": {"role": "server"}},
        "ingress_rules": [{"ports": [{"port_min": port}], "from": [_peer(peer)]} for peer, port in rules],
    }


def _egress(app: str, rules: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """The app reaches only these peers, at these ports."""
    return {
        "name": "outward",
        "selector": {"labels": {"role": app}},
        "policy_types": ["egress"],
        "egress_rules": [{"ports": [{"port_min": port}], "to": [_peer(peer)]} for peer, port in rules],
    }


def allowed(policies: Iterable[dict[str, Any]], client: Container, server: Container, port: int) -> bool:
    """Kubernetes' semantics, for the policies of this test: one of each direction."""
    for policy in policies:
        inward = policy["name"] == "inward"
        own, other = (server, client) if inward else (client, server)
        if own["app"] != policy["selector"]["labels"]["role"]:
            continue
        rules = policy["ingress_rules" if inward else "egress_rules"]
        if not any(
            rule["ports"][0]["port_min"] == port and _is_meant(rule["from" if inward else "to"][0], other)
            for rule in rules
        ):
            return False
    return True


def _is_meant(peer: dict[str, Any], container: Container) -> bool:
    if "ip_block" in peer:
        return ipaddress.ip_address(container["ip_address"]) in ipaddress.ip_network(peer["ip_block"])
    return bool(container["app"] == peer["selector"]["labels"]["role"])


class Table:
    def __init__(self, cluster: LabCluster) -> None:
        self._cluster = cluster

    def change(
        self, method: str, policy: dict[str, Any], before: list[dict[str, Any]], after: list[dict[str, Any]]
    ) -> None:
        """Puts a policy in: cells that are the same before and after are never wrong, and then all are right."""
        path = f"/api{POLICIES}" + (f"/{policy['name']}" if method == "PUT" else "")
        with self.never_wrong(before, after), self._cluster.client(2) as client:
            client.request(method, path, json=policy).raise_for_status()
            self.expect(after)

    def expect(self, policies: list[dict[str, Any]]) -> None:
        """Every cell, within moments."""
        wrong: list[str] = []

        def right() -> bool:
            wrong[:] = self._wrong(policies)
            return not wrong

        try:
            wait_until(right, 30, "the table", errors=NOT_YET)
        except AssertionError as error:
            raise AssertionError(f"wrong cells: {wrong}") from error

    @contextmanager
    def never_wrong(self, *lists: list[dict[str, Any]]) -> Iterator[None]:
        """Asks all the time: what none of these lists of policies allows is never reached, and, where there are
        several lists (and so nobody moves), what each of them allows always is."""
        done, rounds = Event(), [0]
        wrong: list[str] = []

        def watch() -> None:
            while not done.is_set():
                found = self._wrong(*lists)
                wrong.extend(found if len(lists) > 1 else _leaks(found))
                rounds[0] += 1

        watcher = Thread(target=watch)
        watcher.start()
        try:
            yield
            wait_until(lambda: rounds[0] >= 2, 60, "every cell was asked for twice")
        finally:
            done.set()
            watcher.join()
        assert not wrong

    def _containers(self) -> tuple[list[Container], list[Container]]:
        """Clients and servers that run."""
        found = self._cluster.get(1, "/containers", limit=1000)["containers"]
        running = [each for each in found if each["status"] == "running" and each.get("ip_address")]
        servers = [each for each in running if each["app"] == "server"]
        return [each for each in running if each["app"] in _CLIENTS], servers

    def _asked(self) -> Iterator[tuple[Container, Container, int, bool]]:
        """Every cell, asked now; a client that goes meanwhile has none."""
        clients, servers = self._containers()
        with ThreadPoolExecutor(len(clients) or 1) as pool:
            answers = pool.map(lambda each: self._reached(each, servers), clients)
            for client, reached in zip(clients, answers, strict=True):
                if reached is None:
                    continue
                for server in servers:
                    for port in PORTS:
                        yield client, server, port, (server["ip_address"], port) in reached

    def _reached(self, client: Container, servers: list[Container]) -> set[tuple[str, int]] | None:
        """All cells of a client at once: what is refused is only waited for. None: it has gone."""
        ask = r"printf 'GET /hostname HTTP/1.0\r\n\r\n' | nc -w 2 $1 $2 | tail -n1 | grep -q . && echo $1 $2"
        cells = " ".join(f"{server['ip_address']} {port}" for server in servers for port in PORTS)
        script = f"set -- {cells}; while [ $# -gt 0 ]; do ({ask}) & shift 2; done; wait; echo done"
        host = self._cluster.node(self._cluster.number_of(client["node_id"])).host
        lines = host.docker("exec", client["engine_id"], "sh", "-c", script, check=False).splitlines()
        if "done" not in lines:
            return None
        lines.remove("done")
        return {(address, int(port)) for address, port in map(str.split, lines)}

    def _wrong(self, *lists: list[dict[str, Any]]) -> list[str]:
        """Cells that are as none of these lists of policies has them."""
        return [
            _words(client, server, port, reached)
            for client, server, port, reached in self._asked()
            if all(reached != allowed(policies, client, server, port) for policies in lists)
        ]


def _words(client: Container, server: Container, port: int, reached: bool) -> str:
    where = "same" if client["node_id"] == server["node_id"] else "other"
    said = "reached" if reached else "did not reach"
    return f"{client['name']} {said} {server['name']} on the {where} node at {port}"


def _leaks(wrong: Iterable[str]) -> list[str]:
    return [each for each in wrong if " reached " in each]
