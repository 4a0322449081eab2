"""Names a second: the resolver beside Debian's dnsmasq with the same records, in one run.

    .venv/bin/python scripts/bench/names.py [--rounds 5] [--questions 40000]

Needs dnsmasq. The asking is a process of its own that keeps 32 questions under way and counts what is not answered.
It takes turns between the two; a ratio compares figures of one round.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The folder of this script has files whose names are packages' (membership).
sys.path[0] = str(Path(__file__).resolve().parents[2])

import dns.message  # noqa: E402
import trio  # noqa: E402

from runtime.network.dns.server import Resolver  # noqa: E402
from runtime.network.dns.upstream import Upstream  # noqa: E402
from tests.runtime.network.dns.world import World  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

HOST = "127.0.0.1"
APPS, REPLICAS = 50, 3
UNDER_WAY = 32
_SILENT_S = 1.0


def world() -> World:
    made = World()
    for number in range(APPS):
        made.deploy(f"app{number}", REPLICAS, service=f"app{number}.local")
    return made


def serve(port: int) -> None:
    async def run() -> None:
        nobody: frozenset[str] = frozenset()
        resolver = Resolver(world().machine, dead=lambda: nobody, upstream=Upstream(list))
        await resolver.run(HOST, port=port)

    trio.run(run)


@contextmanager
def ours(port: int) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


@contextmanager
def dnsmasq(port: int) -> Iterator[None]:
    state = world().state
    lines = [f"{task.status.ip_address} {app}.local" for app in state.apps for task in state.tasks_of_app(app)]
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
        hosts.write("\n".join(lines) + "\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        options = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null"]
        where = [f"--listen-address={HOST}", f"--port={port}", f"--addn-hosts={hosts.name}", "--local-ttl=5"]
        process = subprocess.Popen(["dnsmasq", *options, *where, "--user=root", "--pid-file="])
        try:
            yield
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    query = dns.message.make_query("app1.local", "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(0.5)
        asked.connect((HOST, port))
        try:
            asked.send(query.to_wire())
            return len(dns.message.from_wire(asked.recv(4096)).answer[0]) == REPLICAS
        except (OSError, IndexError):
            return False


def ask(port: int, questions: int) -> tuple[float, int]:
    """Answers a second, and how many never came."""
    wires = [dns.message.make_query(f"app{number}.local", "A").to_wire()[2:] for number in range(APPS)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect((HOST, port))
        asked.setblocking(False)
        sent = received = lost = 0
        began_s = time.monotonic()
        while received + lost < questions:
            while sent < questions and sent - received - lost < UNDER_WAY:
                asked.send((sent & 0xFFFF).to_bytes(2, "big") + wires[sent % APPS])
                sent += 1
            ready, _, _ = select.select([asked], [], [], _SILENT_S)
            if not ready:
                lost = sent - received
            try:
                while ready:
                    asked.recv(4096)
                    received += 1
            except BlockingIOError:
                continue
        return received / (time.monotonic() - began_s), lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=40_000)
    asked = parser.parse_args()
    ports = {"hivemind": 5301, "dnsmasq": 5302}
    ratios = []
    with ours(ports["hivemind"]), dnsmasq(ports["dnsmasq"]):
        for name, port in ports.items():
            wait_until(lambda port=port: answers(port), 60, f"{name} to answer")  # type: ignore[misc]
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for number in range(asked.rounds):
            rates = {}
            for name, port in ports.items():
                rates[name], lost = ask(port, asked.questions)
                print(f"round {number + 1}  {name:9} {rates[name]:8.0f} answers/s  {lost} lost", flush=True)
            ratios.append(rates["hivemind"] / rates["dnsmasq"])
    print(f"hivemind / dnsmasq: {statistics.median(ratios):.2f}  (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
