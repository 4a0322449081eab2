"""Container to container across hosts: Hivemind's overlay, Docker Swarm's, and the hosts' own path, in one run.

    .venv/bin/python scripts/bench/network.py [--rounds 7] [--seconds 2] [--modes vxlan,host-gw]

Needs root, what tests/lab needs, and iperf3. Each contender has a lab of two hosts, so that none is in another's way.
All paths take turns, round by round, every other round backwards; a ratio compares figures of one round, and what is
told is the median of the rounds' ratios. Where both cores are busy, throughput is what is left by everybody else: so
each figure comes with the CPU time of the whole machine for each gigabyte, everybody else's included, and, where
there is perf, with that of the packets alone (scripts/bench/packet_cpu.py; the sampling costs some throughput).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import nan
from pathlib import Path

# The folder of this script has files whose names are packages' (membership).
sys.path[0] = str(Path(__file__).resolve().parents[2])

from msgspec import Struct  # noqa: E402

from scripts.bench.machine_load import machine_cpu_s  # noqa: E402
from scripts.bench.packet_cpu import has_perf, sampled  # noqa: E402
from tests.e2e.lab_cluster import NOT_YET, LabCluster  # noqa: E402
from tests.lab.commands import run  # noqa: E402
from tests.lab.host import Host  # noqa: E402
from tests.lab.lab import Lab  # noqa: E402
from tests.lab.place import fresh_place  # noqa: E402
from tests.support.images import BUSYBOX_IMAGE  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

_PINGS = 20
_CPU = ("cpu_s", "packet_cpu_s")
_CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


class End(Struct, frozen=True):
    """One end of a path: a host, or a container on it (`pid` is its first process there)."""

    host: Host
    address: str
    pid: int | None = None

    def inside(self, *argv: str) -> list[str]:
        return list(argv) if self.pid is None else ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]


class Figures(Struct, frozen=True):
    """`cpu_s`: of all the machine, for each gigabyte (10^9 bytes) that arrived; `packet_cpu_s`: of iperf3's ends and
    all work on packets, NaN without perf."""

    gbit_s: float
    cpu_s: float
    packet_cpu_s: float
    ping_ms: float


def measure(left: End, right: End, seconds: int) -> Figures:
    server = right.host.popen(right.inside("iperf3", "-s", "-1", "-B", right.address))
    try:
        wait_until(lambda: f"{right.address}:5201" in right.host.exec(*right.inside("ss", "-ltn")), 20, "iperf3")
        client = left.host.argv(left.inside("iperf3", "-c", right.address, "-t", str(seconds), "-J"))
        taken: list[float] = []

        def transfer(before: Sequence[str] = ()) -> str:
            began_s = machine_cpu_s()
            told = run([*before, *client])
            taken.append(machine_cpu_s() - began_s)
            return told

        told, packet_cpu_s = sampled(transfer, "iperf3") if has_perf() else (transfer(), nan)
        server.wait(20)
    finally:
        server.kill()
    arrived = json.loads(told)["end"]["sum_received"]
    pinged = left.host.exec(*left.inside("busybox", "ping", "-q", "-c", str(_PINGS), "-i", "0.05", right.address))
    median = re.search(r"= [\d.]+/([\d.]+)/", pinged)
    assert median is not None, pinged
    gigabytes = arrived["bytes"] / 1e9
    return Figures(arrived["bits_per_second"] / 1e9, taken[0] / gigabytes, packet_cpu_s / gigabytes, float(median[1]))


def container_end(host: Host, engine_id: str, address: str) -> End:
    return End(host, address, int(host.docker("inspect", "-f", "{{.State.Pid}}", engine_id)))


@contextmanager
def hivemind(lab: Lab, mode: str) -> Iterator[tuple[End, End]]:
    with (
        tempfile.TemporaryDirectory(prefix="hivemind-bench-") as folder,
        LabCluster(lab, data_dir=Path(folder), options=["--overlay", mode], timeout_s=180) as cluster,
    ):

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


def rounds(paths: Mapping[str, tuple[End, End]], count: int, seconds: int) -> dict[str, list[Figures]]:
    found: dict[str, list[Figures]] = {name: [] for name in paths}
    for number in range(count):
        for name in list(paths)[:: -1 if number % 2 else 1]:
            left, right = paths[name]
            last = measure(left, right, seconds)
            found[name].append(last)
            cpu = f"{last.cpu_s:5.2f} CPU-s/GB, {last.packet_cpu_s:.2f} of packets"
            told = f"{last.gbit_s:6.2f} Gbit/s  {cpu}  ping {last.ping_ms:.3f} ms"
            print(f"round {number + 1}  {name:17} {told}", flush=True)
    return found


def report(figures: Mapping[str, list[Figures]]) -> None:
    for name, samples in figures.items():
        speeds = sorted(each.gbit_s for each in samples)
        cpu_s, packet_cpu_s = (statistics.median(getattr(each, what) for each in samples) for what in _CPU)
        among = f"{speeds[0]:.2f} to {speeds[-1]:.2f}"
        cpu = f"{cpu_s:.2f} CPU-s/GB, {packet_cpu_s:.3f} of packets"
        print(f"{name:17} median {statistics.median(speeds):6.2f} Gbit/s ({among}), {cpu}")
    for mine in (name for name in figures if name.startswith("hivemind")):
        for other in ("underlay", "swarm"):
            pairs = list(zip(figures[mine], figures[other], strict=True))
            ratios = {
                what: statistics.median(getattr(own, what) / getattr(their, what) for own, their in pairs)
                for what in Figures.__struct_fields__
            }
            told = ", ".join(f"{what} {ratio:.2f}" for what, ratio in ratios.items())
            print(f"{mine} / {other}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--modes", default="vxlan,host-gw")
    asked = parser.parse_args()
    with ExitStack() as stack:
        theirs, *ours = (stack.enter_context(Lab(2, place=fresh_place())) for _ in ["swarm", *asked.modes.split(",")])
        paths = {"underlay": (End(theirs.host(1), theirs.host(1).address), End(theirs.host(2), theirs.host(2).address))}
        for lab, mode in zip(ours, asked.modes.split(","), strict=True):
            paths[f"hivemind {mode}"] = stack.enter_context(hivemind(lab, mode))
        paths["swarm"] = stack.enter_context(swarm(theirs))
        control = _CONGESTION_CONTROL.read_text().strip()
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, congestion control {control}")
        found = rounds(paths, asked.rounds, asked.seconds)
        print(f"load {os.getloadavg()[0]:.1f}")
    report(found)


if __name__ == "__main__":
    main()
