"""A cluster that can be trusted: a state that differs is found and replaced, leadership goes where it is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.addresses import free_addresses
from tests.support.apps import Sleeper, deploy, wait_running
from tests.support.cluster import API_PORT, PEER_PORT, Cluster
from tests.support.leaders import NOT_YET, leader, wait_whole
from tests.support.odd_daemon import ODD_APP
from tests.support.processes import processes_of
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, of which the third makes something else of one command."""
    cluster = Cluster(data_dir=tmp_path_factory.mktemp("odd"), options=["--preset", "local"])
    cluster.node(3).argv[:3] = [sys.executable, "-m", "tests.support.odd_daemon"]
    with cluster:
        wait_whole(cluster)
        yield cluster


def generation(cluster: Cluster, number: int) -> Any:
    """Which the odd daemon has different; None while the node does not answer."""
    with cluster.client(number) as client:
        answer = client.get(f"/api/apps/{ODD_APP}")
        return answer.json()["data"]["generation"] if answer.status_code == 200 else None


def test_a_node_whose_state_differs_says_so_and_takes_that_of_the_others(odd: Cluster) -> None:
    with odd.client(1) as client:
        body = {"name": ODD_APP, "image": "hivemind/whoami", "replicas": 0}
        assert client.post("/api/deploy", json=body).status_code == 201
        before = generation(odd, 1)
        wait_until(lambda: generation(odd, 3) not in (None, before), 10, "node 3 differs", errors=NOT_YET)
        # Nodes are compared every hundred entries or so.
        for number in range(110):
            labels = {"labels": {"round": str(number)}}
            assert client.put(f"/api/nodes/{odd.node(1).name}/labels", json=labels).status_code == 200
    log = odd.node(3).log
    wait_until(lambda: "state_replaced" in log.read_text(), 20, "node 3 took another's state")
    assert "state_differs" in log.read_text()
    wait_until(lambda: generation(odd, 3) == before, 10, "node 3 answers as node 1 does", errors=NOT_YET)
    assert generation(odd, 1) == generation(odd, 2) == before
    assert "state_replaced" not in odd.node(1).log.read_text() + odd.node(2).log.read_text()
    assert odd.node(3).is_running()


def test_leadership_goes_where_it_is_sent_and_leaves_a_node_in_maintenance(odd: Cluster) -> None:
    before = leader(odd)
    heir = next(node for node in odd.nodes if node is not before)
    asked = next(node for node in odd.nodes if node not in (before, heir))
    done = odd.cli(asked.number, "cluster", "transfer-leader", heir.name)
    assert (done.returncode, done.stdout) == (0, f"Node {heir.name} leads now\n"), done.stderr
    assert leader(odd) is heir
    with odd.client(asked.number) as client:
        for node, code in ((heir.name, 409), ("nobody", 404)):
            assert client.post("/api/cluster/transfer-leader", json={"node": node}).status_code == code
        assert client.post(f"/api/nodes/{heir.name}/maintenance", json={"enable": True}).status_code == 200
        wait_until(lambda: leader(odd) is not heir, 20, "the node in maintenance leads no more", errors=NOT_YET)
        assert client.post(f"/api/nodes/{heir.name}/maintenance", json={"enable": False}).status_code == 200


def test_a_backup_of_the_running_cluster_begins_a_new_one(odd: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    with odd.client(1) as client:
        cluster_id = client.get("/api/cluster").json()["data"]["id"]
        body = {"name": "kept", "image": "hivemind/whoami", "replicas": 1, "env": {"WHAT": "kept"}}
        assert client.post("/api/deploy", json=body).status_code == 201
    done = odd.cli(2, "admin", "backup", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert "apps" in odd.cli(2, "admin", "inspect", str(file)).stdout
    (address,) = free_addresses(1, (API_PORT, PEER_PORT))
    restored = Cluster(data_dir=tmp_path, addresses=[address], options=["--preset", "local"])
    restored.admin_password = odd.admin_password
    node = restored.node(1)
    done = odd.cli(1, "admin", "restore", str(file), "--data-dir", str(node.data_dir), "--name", node.name)
    assert done.returncode == 0, done.stderr
    again = odd.cli(1, "admin", "restore", str(file), "--data-dir", str(node.data_dir))
    assert (again.returncode, "holds a node already" in again.stderr) == (1, True)
    try:
        node.start()
        restored.wait_ready([1])
        with restored.client(1) as client:
            info = client.get("/api/cluster").json()["data"]
            assert (info["voters"], info["id"] == cluster_id) == ([node.name], False)
            app = client.get("/api/apps/kept").json()["data"]
            assert app["env"] == {"WHAT": "kept"}
            assert [item["id"] for item in client.get("/api/nodes").json()["data"]["nodes"]] == [node.name]
        wait_running(restored, 1, "kept", 1)
        assert restored.join_token() != odd.join_token()
    finally:
        restored.stop()


@pytest.mark.parametrize("away", [False, True])
def test_a_removed_node_is_told_so_takes_its_containers_along_and_stops(odd: Cluster, away: bool) -> None:
    """Its replicas were made anew elsewhere: what it runs itself would be there twice. One that is away meanwhile
    learns of it from the members, who turn it away."""
    name = f"moved-{away}".lower()
    there = [node for node in odd.nodes if node.is_running()]
    gone = next(node for node in there if node is not leader(odd, [each.number for each in there]))
    rest = [node.number for node in there if node is not gone]
    deploy(odd, rest[0], Sleeper(name).body(3))
    assert processes_of(gone.data_dir)
    if away:
        gone.kill9()
    with odd.client(rest[0]) as client:
        assert client.delete(f"/api/nodes/{gone.name}?force=true").status_code == 200
    if away:
        gone.start()
    assert gone.wait(30) != 0
    assert "was removed from the cluster" in gone.log_tail()
    assert not processes_of(gone.data_dir)
    odd.wait_ready(rest)
    wait_running(odd, rest[0], name, 3)
