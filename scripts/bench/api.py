"""Reads and writes a second, p50 and p99: at a cluster of one node, at a follower and at the leader of three.

Beside them in the same run: a bare hypercorn endpoint under trio that sends the bytes of the same answer, and Docker
Swarm with the same objects (swarm_api.py). What is compared is the server's CPU for a request. The list and the bare
endpoint are measured in turn (in_turn.py): what else the machine does is dear to both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import click
import httpx2
import msgspec
from http_load import Load, Measured, message
from in_turn import Server, in_turn
from machine_load import processes_cpu_s
from msgspec import Struct
from swarm_api import filled_swarm, load_of, operations

from tests.lab.lab import why_no_lab
from tests.support.addresses import free_addresses
from tests.support.cluster import API_PORT, Cluster
from tests.support.waiting import wait_until

HERE = Path(__file__).parent
WRITERS = 64


class Target(Struct, frozen=True):
    """`pid` is the server's process."""

    name: str
    host: str
    pid: int
    token: str = ""


class Row(Struct, frozen=True):
    """`cpu_ms` is the server's CPU for one request, less what it uses idle; `others_cpu_ms` that of its peers."""

    what: str
    target: str
    clients: int
    measured: Measured
    cpu_ms: float
    others_cpu_ms: float


OPERATIONS = {
    "list 100": ("GET", "/api/containers?limit=100", False),
    "list 100, by key": ("GET", "/api/containers?limit=100", False),
    "get app": ("GET", "/api/apps/many", False),
    "health": ("GET", "/api/health", False),
    "write": ("POST", "/api/scale", True),
}


def load_on(what: str, target: Target, clients: int, seconds: float) -> Load:
    method, path, writes = OPERATIONS[what]
    bodies = [json.dumps({"name": f"w{number}", "replicas": 0}) for number in range(WRITERS)] if writes else []
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    return Load(target.host, API_PORT, method, path, clients, seconds, headers, bodies)


def measure(what: str, target: Target, peers: list[int], clients: int, seconds: float, idle: float) -> Row:
    return measured_by(load_on(what, target, clients, seconds), what, target, peers, idle)


def beside_bare(own: Target, bare: Target, clients: int, blocks: int) -> str:
    servers = []
    for target in (own, bare):
        load = load_on("list 100", target, clients, 0.0)
        servers.append(Server((load.host, load.port), message(load, load.method, load.path, b""), target.pid))
    found = in_turn(*servers, clients=clients, blocks=blocks)
    told = f"list 100, in turn with bare, {clients:>3} clients: cpu {found.first_cpu_ms:.3f} and"
    return f"{told} {found.second_cpu_ms:.3f} ms, {found.ratio:.2f} x bare (median of {blocks} pairs of blocks)"


def measured_by(load: Load, what: str, target: Target, peers: list[int], idle: float) -> Row:
    seconds = load.seconds
    before_s, others_before_s, began_s = processes_cpu_s([target.pid]), processes_cpu_s(peers), time.monotonic()
    done = subprocess.run(
        [sys.executable, HERE / "http_load.py"], input=msgspec.json.encode(load), capture_output=True, check=True
    )
    passed_s = time.monotonic() - began_s
    measured = msgspec.json.decode(done.stdout, type=Measured)
    # Requests of the warm-up cost too.
    requests = measured.requests * (seconds + load.warm_up_s) / seconds
    used_s = processes_cpu_s([target.pid]) - before_s - idle * passed_s
    others_s = processes_cpu_s(peers) - others_before_s - len(peers) * idle * passed_s
    return Row(what, target.name, load.clients, measured, 1000 * used_s / requests, 1000 * others_s / requests)


def fill(cluster: Cluster) -> None:
    """An app of 100 containers that no node may take, and the apps that writers scale."""
    with cluster.client(1) as client:
        spec = {"name": "many", "image": "nginx:latest", "replicas": 100, "node_affinity": "node.id=nowhere"}
        assert client.post("/api/deploy", json=spec).status_code == 201
        for number in range(WRITERS):
            spec = {"name": f"w{number}", "image": "nginx:latest", "replicas": 0}
            assert client.post("/api/deploy", json=spec).status_code == 201


def credentials(cluster: Cluster) -> tuple[str, str]:
    """A token and an API key."""
    with cluster.client(1) as client:
        login = {"username": "admin", "password": cluster.admin_password}
        token = client.post("/api/auth/login", json=login).json()["data"]["token"]
        key = client.post("/api/auth/api-keys", json={"name": "bench"}).json()["data"]["key"]
        return token, key


def idle_cores(pids: list[int], seconds: float = 3.0) -> float:
    before_s = processes_cpu_s(pids)
    time.sleep(seconds)
    return (processes_cpu_s(pids) - before_s) / seconds / len(pids)


@contextmanager
def bare_endpoint(folder: Path, body: bytes, name: str) -> Iterator[Target]:
    host = free_addresses(1, (API_PORT,))[0]
    file = folder / "body"
    file.write_bytes(body)
    process = subprocess.Popen([sys.executable, HERE / "bare_endpoint.py", host, str(API_PORT), file])
    try:
        url = f"http://{host}:{API_PORT}/"
        wait_until(lambda: httpx2.get(url, trust_env=False).content, 20.0, errors=(httpx2.TransportError,))
        yield Target(name, host, process.pid)
    finally:
        process.terminate()
        process.wait()


def rows_of_cluster(folder: Path, nodes: int, clients: list[int], seconds: float, blocks: int) -> Iterator[Row]:
    with Cluster(data_dir=folder / f"of-{nodes}", nodes=nodes, executed=True) as cluster:
        fill(cluster)
        token, key = credentials(cluster)
        pids = [node.pid for node in cluster.nodes]
        with cluster.client(1) as client:
            leader = client.get("/api/health").headers["X-Hivemind-Leader"]
            listed = client.get("/api/containers?limit=100").content
        idle = idle_cores(pids)
        chosen = {"one node": cluster.node(1)} if nodes == 1 else {}
        for node in cluster.nodes if nodes > 1 else ():
            chosen.setdefault("leader" if node.name == leader else "follower", node)
        for number in clients:
            if nodes == 1:
                with bare_endpoint(folder, listed, "bare") as bare:
                    own = Target("one node", cluster.node(1).address, cluster.node(1).pid, token)
                    click.echo(beside_bare(own, bare, number, blocks))
                    yield measure("list 100", bare, [], number, seconds, 0.0)
            for name, node in chosen.items():
                peers = [pid for pid in pids if pid != node.pid]
                for what in OPERATIONS:
                    target = Target(name, node.address, node.pid, key if "by key" in what else token)
                    yield measure(what, target, peers, number, seconds, idle)


def rows_of_swarm(nodes: int, clients: list[int], seconds: float) -> Iterator[Row]:
    with filled_swarm(nodes, WRITERS) as hosts:
        pids = {name: host.pids("dockerd")[0] for name, host in hosts.items()}
        idle = idle_cores(list(pids.values()))
        for number in clients:
            for name, host in hosts.items():
                peers = [pid for other, pid in pids.items() if other != name]
                told = "swarm one" if nodes == 1 else f"swarm {name[:4]}."
                for what, operation in operations(WRITERS).items():
                    load = load_of(operation, host, number, seconds)
                    yield measured_by(load, what, Target(told, load.host, pids[name]), peers, idle)


def shown(row: Row, bare_cpu_ms: dict[int, float]) -> str:
    ratio = row.cpu_ms / bare_cpu_ms[row.clients] if row.clients in bare_cpu_ms else float("nan")
    measured = row.measured
    told = f"{row.what:<17} {row.target:<12} {row.clients:>3}  {measured.per_s:>7.0f}/s"
    told += f"  p50 {measured.p50_ms:>7.2f}  p99 {measured.p99_ms:>7.2f} ms"
    told += f"  cpu {row.cpu_ms:>6.3f} ms (peers {row.others_cpu_ms:>6.3f})  {ratio:>5.2f} x bare"
    return told + (f"  {measured.failed} FAILED" if measured.failed else "")


@click.command()
@click.option("--clients", default="1,16,64", show_default=True, help="Numbers of clients, separated by commas.")
@click.option("--seconds", default=3.0, show_default=True, help="For each figure.")
@click.option("--blocks", default=100, show_default=True, help="Of the list beside the bare endpoint.")
@click.option("--swarm/--no-swarm", default=True, show_default=True, help="Also Docker Swarm, in a lab of its own.")
@click.option("--output", type=click.Path(path_type=Path), help="A file for the figures as JSON.")
def main(clients: str, seconds: float, blocks: int, swarm: bool, output: Path | None) -> None:
    """Measure the API; prints a line for each figure as it comes."""
    numbers = [int(number) for number in clients.split(",")]
    rows: list[Row] = []
    bare_cpu_ms: dict[int, float] = {}
    if swarm and (reason := why_no_lab()):
        raise click.ClickException(f"{reason} (--no-swarm leaves Swarm out)")
    with tempfile.TemporaryDirectory(prefix="hivemind-bench-") as folder:
        for nodes in (1, 3):
            beside = rows_of_swarm(nodes, numbers, seconds) if swarm else ()
            for row in chain(rows_of_cluster(Path(folder), nodes, numbers, seconds, blocks), beside):
                if row.target == "bare":
                    bare_cpu_ms[row.clients] = row.cpu_ms
                rows.append(row)
                click.echo(shown(row, bare_cpu_ms))
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")


if __name__ == "__main__":
    main()
