"""The kernel's rules at scale (issue 6, bar 4): 2,000 services with 10,000 endpoints, beside 10 services with 50.

``scripts/bench/packet_rules`` in a network namespace of its own; root. For each size: how long another endpoint takes
from the State to the kernel, and a connection's round trip through a virtual address, beside a direct one.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import threading
import time

import trio
from immutables import Map
from msgspec.structs import replace

from consensus.model.app import App
from consensus.model.app_spec import AppSpec, Port
from consensus.model.network import OverlayMode
from consensus.model.node import Node, NodeFacts, NodeStatus
from consensus.model.service import Service, free_address
from consensus.model.task import Health, Task, TaskState, TaskStatus
from consensus.state import State, with_indexes
from runtime.network.nft.compiler import Compiler
from runtime.network.nft.nft import Nft
from runtime.network.nft.ruleset import Command, Ruleset, changes, put_table

ENDPOINTS = 5
SERVER = "10.244.0.2"
CHANGES = 20


def state_of(services: int) -> State:
    """Each service with `ENDPOINTS` replicas on one node; those of service 0 are the server that answers."""
    facts = NodeFacts(address="10.0.0.1", api_port=1, peer_port=2, overlay=OverlayMode.VXLAN)
    node = Node(
        id="n1", facts=facts, status=NodeStatus.READY, status_since_s=0.0, joined_at_s=0.0, subnet="10.244.0.0/16"
    )
    apps, specs, tasks, known, taken = {}, {}, {}, {}, set[str]()
    for number in range(services):
        name = f"app-{number}"
        spec = AppSpec(name=name, image="i", replicas=ENDPOINTS, ports=[Port(80)])
        apps[name] = App(spec=spec, revision=1, created_at_s=0.0, updated_at_s=0.0)
        specs[name, 1] = spec
        address = free_address(name, taken) or ""
        taken.add(address)
        known[name] = Service(name=name, created_at_s=0.0, virtual_ip=address)
        for slot in range(1, ENDPOINTS + 1):
            at = number * ENDPOINTS + slot
            ip = SERVER if number == 0 else f"10.244.{1 + at // 250}.{1 + at % 250}"
            status = TaskStatus(state=TaskState.RUNNING, health=Health.HEALTHY, ip_address=ip)
            task_id = f"{name}.{slot}.x"
            tasks[task_id] = Task(
                id=task_id, app=name, slot=slot, revision=1, generation=1, created_at_s=0.0, node_id="n1", status=status
            )
    tables = {"apps": apps, "specs": specs, "tasks": tasks, "services": known, "nodes": {"n1": node}}
    return with_indexes(replace(State(), **{name: Map(rows) for name, rows in tables.items()}))


def to_kernel(commands: list[Command]) -> None:
    trio.run(Nft().apply, commands)


def change_times_s(compiler: Compiler, state: State, ruleset: Ruleset) -> list[float]:
    """Of one endpoint that leaves and comes back, from the State to the kernel."""
    times_s = []
    for number in range(CHANGES):
        task = state.tasks["app-1.1.x"]
        health = Health.UNHEALTHY if number % 2 == 0 else Health.HEALTHY
        state = replace(
            state, tasks=state.tasks.set(task.id, replace(task, status=replace(task.status, health=health)))
        )
        began_s = time.perf_counter()
        wanted = compiler.update(state, {"app-1"}, {})
        assert wanted is not None
        to_kernel(changes(ruleset, wanted))
        times_s.append(time.perf_counter() - began_s)
        ruleset = wanted
    return times_s


def _cpu_s() -> float:
    """Of this process and the commands that it ran."""
    told = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in told)


def serve() -> None:
    listener = socket.create_server((SERVER, 80), backlog=512)

    def answer() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(64))

    threading.Thread(target=answer, daemon=True).start()


def round_trips_s(address: str, count: int) -> float:
    """The median of `count` connections: opened, one byte each way, closed."""
    times_s = []
    for _ in range(count):
        began_s = time.perf_counter()
        with socket.create_connection((address, 80), timeout=10) as connection:
            connection.sendall(b"x")
            connection.recv(64)
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 2000])
    parser.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", f"{SERVER}/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "route", "add", "10.245.0.0/16", "dev", "lo"], check=True)
    serve()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(" services endpoints   load_s  change_ms  (CPU)  worst_ms  direct_us   vip_us  ratio")
    for services in options.services:
        state, compiler = state_of(services), Compiler("n1")
        began_s = time.perf_counter()
        ruleset = compiler.update(state, set(state.apps), {})
        assert ruleset is not None
        to_kernel(put_table(ruleset))
        load_s = time.perf_counter() - began_s
        cpu_s = _cpu_s()
        times_s = change_times_s(compiler, state, ruleset)
        change_cpu_s = (_cpu_s() - cpu_s) / CHANGES
        virtual_ip = state.services["app-0"].virtual_ip
        direct_s = round_trips_s(SERVER, options.connections)
        vip_s = round_trips_s(virtual_ip, options.connections)
        print(
            f"{services:9} {services * ENDPOINTS:9} {load_s:8.2f} {statistics.median(times_s) * 1e3:10.1f}"
            f" {change_cpu_s * 1e3:6.1f}"
            f" {max(times_s) * 1e3:9.1f} {direct_s * 1e6:10.0f} {vip_s * 1e6:8.0f} {vip_s / direct_s:6.2f}"
        )


if __name__ == "__main__":
    main()
