"""Container to container across hosts: Hivemind's overlay, Docker Swarm's, and the hosts' own path, in one run.

    .venv/bin/python scripts/bench/network.py [--rounds 3] [--seconds 3] [--mode vxlan|host-gw]

Needs root, what tests/lab needs, and iperf3. Two labs of two hosts, one with Hivemind and one in swarm mode, so that
neither is in the other's way. All paths take turns, round by round; a ratio compares figures of one round.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# The folder of this script has files whose names are packages' (membership).
sys.path[0] = str(Path(__file__).resolve().parents[2])

from msgspec import Struct  # noqa: E402

from tests.e2e.lab_cluster import NOT_YET, LabCluster  # noqa: E402
from tests.lab.host import Host  # noqa: E402
from tests.lab.lab import Lab  # noqa: E402
from tests.lab.place import fresh_place  # noqa: E402
from tests.support.images import BUSYBOX_IMAGE  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

_PINGS = 20


class End(Struct, frozen=True):
    """One end of a path: a host, or a container on it (`pid` is its first process there)."""

    host: Host
    address: str
    pid: int | None = None

    def inside(self, *argv: str) -> list[str]:
        return list(argv) if self.pid is None else ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]


class Figures(Struct, frozen=True):
    gbit_s: float
    ping_ms: float


def measure(left: End, right: End, seconds: int) -> Figures:
    server = right.host.popen(right.inside("iperf3", "-s", "-1", "-B", right.address))
    try:
        wait_until(lambda: f"{right.address}:5201" in right.host.exec(*right.inside("ss", "-ltn")), 20, "iperf3")
        told = left.host.exec(*left.inside("iperf3", "-c", right.address, "-t", str(seconds), "-J"))
        server.wait(20)
    finally:
        server.kill()
    sent = json.loads(told)["end"]["sum_received"]["bits_per_second"]
    pinged = left.host.exec(*left.inside("busybox", "ping", "-q", "-c", str(_PINGS), "-i", "0.1", right.address))
    median = re.search(r"= [\d.]+/([\d.]+)/", pinged)
    assert median is not None, pinged
    return Figures(sent / 1e9, float(median[1]))


def container_end(host: Host, engine_id: str, address: str) -> End:
    return End(host, address, int(host.docker("inspect", "-f", "{{.State.Pid}}", engine_id)))


@contextmanager
def hivemind(lab: Lab, mode: str) -> Iterator[tuple[End, End]]:
    folder = Path(tempfile.mkdtemp(prefix="hivemind-bench-"))
    with LabCluster(lab, data_dir=folder, options=["--overlay", mode], timeout_s=180) as cluster:

        def connected() -> bool:
            nodes = cluster.get(1, "/overlay")["nodes"]
            return len(nodes) == 2 and all(each["overlay_status"] == "connected" for each in nodes)

        wait_until(connected, 120, "a connected overlay", errors=NOT_YET)
        placed = {cluster.number_of(each["node_id"]): each for each in cluster.deploy(1, "bench", 2)}
        left, right = (
            container_end(lab.host(number), placed[number]["engine_id"], placed[number]["ip_address"])
            for number in (1, 2)
        )
        yield left, right


@contextmanager
def swarm(lab: Lab) -> Iterator[tuple[End, End]]:
    first, second = lab.host(1), lab.host(2)
    first.docker("swarm", "init", "--advertise-addr", first.address)
    token = first.docker("swarm", "join-token", "-q", "worker").strip()
    second.docker("swarm", "join", "--advertise-addr", second.address, "--token", token, first.address)
    first.docker("network", "create", "-d", "overlay", "--attachable", "bench")
    ends = []
    for host in (first, second):
        engine_id = host.docker("run", "-d", "--network", "bench", BUSYBOX_IMAGE, "sleep", "36000").strip()
        shown = json.loads(host.docker("inspect", engine_id))[0]
        ends.append(container_end(host, engine_id, shown["NetworkSettings"]["Networks"]["bench"]["IPAddress"]))
    yield ends[0], ends[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--mode", choices=["vxlan", "host-gw"], default="vxlan")
    asked = parser.parse_args()
    figures: dict[str, list[Figures]] = {"underlay": [], "hivemind": [], "swarm": []}
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(Lab(2, place=fresh_place())) for _ in range(2))
        paths = {
            "underlay": (End(ours.host(1), ours.host(1).address), End(ours.host(2), ours.host(2).address)),
            "hivemind": stack.enter_context(hivemind(ours, asked.mode)),
            "swarm": stack.enter_context(swarm(theirs)),
        }
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for number in range(asked.rounds):
            for name, (left, right) in paths.items():
                figures[name].append(measure(left, right, asked.seconds))
                last = figures[name][-1]
                print(f"round {number + 1}  {name:9} {last.gbit_s:6.2f} Gbit/s  ping {last.ping_ms:.3f} ms", flush=True)
        print(f"load {os.getloadavg()[0]:.1f}")
    for other in ("underlay", "swarm"):
        pairs = list(zip(figures["hivemind"], figures[other], strict=True))
        throughput = statistics.median(mine.gbit_s / theirs.gbit_s for mine, theirs in pairs)
        ping = statistics.median(mine.ping_ms / theirs.ping_ms for mine, theirs in pairs)
        print(f"hivemind ({asked.mode}) / {other}: throughput {throughput:.2f}, ping {ping:.2f}")


if __name__ == "__main__":
    main()
