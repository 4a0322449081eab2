"""Our membership beside Debian's `serf` (memberlist), as real processes on loopback, in the same run.

`membership.py [--members 32] [--rounds 3] [--idle-s 30]`. For each of the two: start all, let all join through one once
all listen, take the time until each sees all; then the processor time of an idle member; then kill -9 one and
take the time until all others know. Both at the LAN defaults of memberlist. Both are observed alike: by when this
program reads the line in which a member says what it sees.
"""

from __future__ import annotations

import argparse
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgpack  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.addresses import free_addresses

PORT = 7946
RPC_PORT = 7373
PATIENCE_S = 120
MEMBER = Path(__file__).with_name("member.py")


@dataclass
class Figures:
    """What was measured of one kind, over all rounds."""

    joins_s: list[float] = field(default_factory=list)
    join_cpu_s: list[float] = field(default_factory=list)
    detections_s: list[float] = field(default_factory=list)
    cpu_share: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)


class Cluster:
    """Processes of one kind, and the lines that they say."""

    kind = ""

    def __init__(self, count: int) -> None:
        self.names = [f"n{index}" for index in range(count)]
        self.hosts = free_addresses(count, (PORT, RPC_PORT))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.alive: dict[str, set[str]] = {name: set() for name in self.names}
        self.dead: dict[str, set[str]] = {name: set() for name in self.names}
        self.ready: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._rest = dict.fromkeys(self.names, b"")

    def command(self, name: str, host: str) -> list[str]:
        """What to run."""
        raise AssertionError

    def heard(self, name: str, line: str) -> None:
        """Take one line of a member in."""
        raise AssertionError

    def prepare_joins(self) -> Callable[[], None]:
        """Do all that must be done before; the answer lets all join."""
        raise AssertionError

    def start(self) -> None:
        """Start all, and wait until all listen."""
        for name, host in zip(self.names, self.hosts, strict=True):
            process = subprocess.Popen(
                self.command(name, host), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            self.processes[name] = process
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, name)
        self.wait_for(lambda: len(self.ready) == len(self.names))

    def wait_for(self, met: Callable[[], bool]) -> float:
        """How long it took until the members had said enough."""
        started_s = time.monotonic()
        while not met():
            ended = [name for name in self.processes if self.processes[name].poll() not in (None, -9)]
            if ended or time.monotonic() - started_s > PATIENCE_S:
                raise TimeoutError(f"{self.kind}: not within {PATIENCE_S} s; ended: {ended}")
            self._read(0.5)
        return time.monotonic() - started_s

    def drain(self, duration_s: float) -> None:
        """Read along for a while."""
        end_s = time.monotonic() + duration_s
        while (rest_s := end_s - time.monotonic()) > 0:
            self._read(min(rest_s, 0.5))

    def cpu_s(self) -> float:
        """Processor time of all so far."""
        ticks = 0
        for process in self.processes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Mean resident memory of a process."""
        pages = [int(Path(f"/proc/{p.pid}/statm").read_text().split()[1]) for p in self.processes.values()]
        return statistics.mean(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        """Kill all that were started."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._selector.close()

    def _read(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            data = os.read(key.fd, 1 << 16)
            if not data:
                self._selector.unregister(key.fileobj)
                continue
            *lines, self._rest[key.data] = (self._rest[key.data] + data).split(b"\n")
            for line in lines:
                self.heard(key.data, line.decode(errors="replace"))


class Ours(Cluster):
    """`member.py` beside this file."""

    kind = "hivemind"

    def command(self, name: str, host: str) -> list[str]:
        """See Cluster."""
        # -P, lest it take this file for the package of the same name.
        return [sys.executable, "-P", str(MEMBER), name, host, str(PORT), "lan"]

    def heard(self, name: str, line: str) -> None:
        """See Cluster."""
        word, _, member = line.partition(" ")
        if word == "ready":
            self.ready.add(name)
        elif word == "alive":
            self.alive[name].add(member)
        elif word == "dead":
            self.dead[name].add(member)

    def prepare_joins(self) -> Callable[[], None]:
        """See Cluster."""

        def join() -> None:
            for name in self.names[1:]:
                stdin = self.processes[name].stdin
                assert stdin is not None
                stdin.write(f"join {self.names[0]} {self.hosts[0]}\n".encode())
                stdin.flush()

        return join


class Serf(Cluster):
    """Serf agents, told to join over their RPC port."""

    kind = "serf"

    def command(self, name: str, host: str) -> list[str]:
        """See Cluster."""
        return [
            *("serf", "agent", f"-node={name}", f"-bind={host}:{PORT}", f"-rpc-addr={host}:{RPC_PORT}"),
            *("-profile=lan", "-log-level=info"),
        ]

    def heard(self, name: str, line: str) -> None:
        """See Cluster."""
        words = line.split()
        if "EventMemberJoin:" in words:
            self.alive[name].add(words[words.index("EventMemberJoin:") + 1])
        elif "EventMemberFailed:" in words:
            self.dead[name].add(words[words.index("EventMemberFailed:") + 1])
        elif "agent: Serf agent starting" in line:
            self.ready.add(name)

    def prepare_joins(self) -> Callable[[], None]:
        """See Cluster."""
        connections = []
        for host in self.hosts[1:]:
            end_s = time.monotonic() + 10
            while True:
                try:
                    connection = socket.create_connection((host, RPC_PORT), timeout=10)
                    break
                except ConnectionRefusedError:
                    if time.monotonic() > end_s:
                        raise
                    self.drain(0.1)
            connection.sendall(msgpack.packb({"Command": "handshake", "Seq": 0}) + msgpack.packb({"Version": 1}))
            connection.recv(4096)
            connections.append(connection)
        question = msgpack.packb({"Command": "join", "Seq": 1}) + msgpack.packb(
            {"Existing": [f"{self.hosts[0]}:{PORT}"], "Replay": False}
        )

        def join() -> None:
            for connection in connections:
                connection.sendall(question)

        return join


def measure(cluster: Cluster, figures: Figures, idle_s: float) -> None:
    """One round with one kind."""
    everybody = set(cluster.names)
    try:
        cluster.start()
        join = cluster.prepare_joins()
        cluster.drain(1)
        before_s, started_s = cluster.cpu_s(), time.monotonic()
        join()
        cluster.wait_for(lambda: all(cluster.alive[name] >= everybody for name in cluster.names))
        figures.joins_s.append(time.monotonic() - started_s)
        cluster.drain(10)
        figures.join_cpu_s.append((cluster.cpu_s() - before_s) / len(everybody))
        before_s, from_s = cluster.cpu_s(), time.monotonic()
        cluster.drain(idle_s)
        elapsed_s = time.monotonic() - from_s
        figures.cpu_share.append((cluster.cpu_s() - before_s) / elapsed_s / len(everybody))
        figures.resident_mib.append(cluster.resident_mib())
        victim = cluster.names[len(cluster.names) // 2]
        false = [name for name in cluster.names if cluster.dead[name]]
        assert not false, f"{cluster.kind}: a false death at {false}"
        cluster.processes[victim].kill()
        others = everybody - {victim}
        figures.detections_s.append(cluster.wait_for(lambda: all(victim in cluster.dead[name] for name in others)))
    finally:
        cluster.stop()


def report(ours: Figures, serf: Figures) -> None:
    """Medians, spans and ratios."""
    rows: Sequence[tuple[str, list[float], list[float], float, str]] = (
        ("join, all see all", ours.joins_s, serf.joins_s, 1, "s"),
        ("CPU of it, and 10 s", ours.join_cpu_s, serf.join_cpu_s, 1000, "ms"),
        ("kill -9, all know", ours.detections_s, serf.detections_s, 1, "s"),
        ("idle CPU of a member", ours.cpu_share, serf.cpu_share, 100, "%"),
        ("memory of a member", ours.resident_mib, serf.resident_mib, 1, "MiB"),
    )
    sys.stdout.write(f"{'':24}{'hivemind':>28}{'serf':>28}{'ratio':>8}\n")
    for title, mine, theirs, scale, unit in rows:
        cells = [
            f"{scale * statistics.median(values):.2f} ({scale * min(values):.2f}-{scale * max(values):.2f}) {unit}"
            for values in (mine, theirs)
        ]
        ratio = statistics.median(mine) / statistics.median(theirs)
        sys.stdout.write(f"{title:24}{cells[0]:>28}{cells[1]:>28}{ratio:8.2f}\n")


def main() -> None:
    """Alternate between the two, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=30)
    arguments = parser.parse_args()
    if shutil.which("serf") is None:
        sys.exit("there is no serf here: apt-get install -y serf")
    ours, serf = Figures(), Figures()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for _ in range(arguments.rounds):
            measure(Ours(arguments.members), ours, arguments.idle_s)
            measure(Serf(arguments.members), serf, arguments.idle_s)
    sys.stdout.write(f"{arguments.members} members on loopback, {arguments.rounds} rounds, median (least-most)\n")
    report(ours, serf)


if __name__ == "__main__":
    main()
