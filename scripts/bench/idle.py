"""What three daemons cost: idle, and while clients write.

    .venv/bin/python scripts/bench/idle.py --idle 60 --load 20 --json FILE

Real daemons on loopback with the process engine. CPU is percent of one core over the time, memory is what is used at
its end. The write load is that of issue 2's bar 3 (tests/support/ledger.py): six clients in loops at one follower;
`longest step` is the longest that one step of a daemon's event loop took since its start, by the daemon's own metric
(wall clock: it counts, too, when the kernel runs others meanwhile).
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

# The folder of this script has files whose names are packages' (membership).
sys.path[0] = str(Path(__file__).resolve().parents[2])

import msgspec  # noqa: E402
import psutil  # noqa: E402
import trio  # noqa: E402

from scripts.bench.machine_load import each_cpu_s, machine_cpu_s, used_since_s  # noqa: E402
from tests.support.cluster import PROGRAM, Cluster, Node  # noqa: E402
from tests.support.leaders import followers, leader, wait_whole  # noqa: E402
from tests.support.ledger import Writers  # noqa: E402
from tests.support.metrics import metric, worst_step  # noqa: E402

_MIB = 1024 * 1024


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One daemon over one phase."""

    phase: str
    node: str
    leads: bool
    cpu_percent: float
    rss_mib: float
    pss_mib: float
    uss_mib: float
    longest_step: str
    steps_over_20_ms: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What --json writes. `others_cores`: how many cores everybody else kept busy, by phase."""

    costs: list[Cost]
    others_cores: dict[str, float]
    writes_per_s: float
    replicas: int


class Meter:
    """CPU of each daemon from its making to `costs`."""

    def __init__(self, cluster: Cluster, phase: str) -> None:
        self._cluster = cluster
        self._phase = phase
        self._began_s = time.monotonic()
        self._cpu_s = each_cpu_s(node.pid for node in cluster.nodes)
        self._machine_s = machine_cpu_s()

    def costs(self) -> tuple[list[Cost], float]:
        """Of each daemon, and how many cores others kept busy meanwhile."""
        passed_s, machine_s = time.monotonic() - self._began_s, machine_cpu_s() - self._machine_s
        used_s = {pid: used_since_s({pid: before_s}) for pid, before_s in self._cpu_s.items()}
        chief = leader(self._cluster)
        costs = [
            self._cost(node, leads=node is chief, cpu_percent=100 * used_s[node.pid] / passed_s)
            for node in self._cluster.nodes
        ]
        return costs, max(0.0, machine_s - sum(used_s.values())) / passed_s

    def _cost(self, node: Node, *, leads: bool, cpu_percent: float) -> Cost:
        memory = psutil.Process(node.pid).memory_full_info()
        slow_steps = 'hivemind_loop_slow_steps_total{over_s="0.02"}'
        return Cost(
            phase=self._phase,
            node=node.name,
            leads=leads,
            cpu_percent=cpu_percent,
            rss_mib=memory.rss / _MIB,
            pss_mib=memory.pss / _MIB,
            uss_mib=memory.uss / _MIB,
            longest_step=worst_step(self._cluster, node.number),
            steps_over_20_ms=int(metric(self._cluster, node.number, slow_steps)),
        )


async def _write(cluster: Cluster, seconds: float) -> float:
    """Writes a second, acknowledged to clients of one follower."""
    writers = Writers(cluster, "load")
    async with writers.running(followers(cluster)[-1].number):
        await trio.sleep(seconds)
    assert not writers.ledger.violations, writers.ledger.violations
    return writers.ledger.writes / seconds


def measure(settings: argparse.Namespace, folder: Path) -> Report:
    """Raises what a cluster that does not start raises."""
    costs: list[Cost] = []
    others_cores: dict[str, float] = {}

    def note(meter: Meter, phase: str) -> None:
        of_daemons, others_cores[phase] = meter.costs()
        costs.extend(of_daemons)

    program = ["nice", "-n", str(settings.nice), *PROGRAM]
    options = ["--preset", settings.preset]
    with Cluster(nodes=3, data_dir=folder / "cluster", options=options, program=program, executed=True) as cluster:
        wait_whole(cluster)
        if settings.replicas:
            with cluster.client(1) as client:
                spec = {"name": "idle", "image": "hivemind/whoami", "replicas": settings.replicas}
                client.post("/api/deploy", json=spec).raise_for_status()
        time.sleep(settings.warm_up)
        meter = Meter(cluster, "idle")
        time.sleep(settings.idle)
        note(meter, "idle")
        meter = Meter(cluster, "load")
        writes_per_s = trio.run(_write, cluster, settings.load)
        note(meter, "load")
    return Report(costs=costs, others_cores=others_cores, writes_per_s=writes_per_s, replicas=settings.replicas)


def table(report: Report) -> str:
    """For people."""
    lines = ["phase  node             leads  cpu %   rss   pss   uss MiB  over 20 ms  longest step"]
    lines += [
        f"{cost.phase:6} {cost.node:16} {'yes' if cost.leads else '':5} {cost.cpu_percent:6.2f}"
        f" {cost.rss_mib:5.0f} {cost.pss_mib:5.0f} {cost.uss_mib:5.0f}"
        f" {cost.steps_over_20_ms:15}  {cost.longest_step}"
        for cost in report.costs
    ]
    lines += [f"{phase}: others kept {cores:.2f} cores busy" for phase, cores in report.others_cores.items()]
    return "\n".join([*lines, f"load: {report.writes_per_s:.0f} writes a second, from six clients at one follower"])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=float, default=60.0, metavar="S", help="default: 60")
    parser.add_argument("--load", type=float, default=20.0, metavar="S", help="default: 20")
    parser.add_argument("--warm-up", type=float, default=10.0, metavar="S", help="before; default: 10")
    parser.add_argument("--preset", default="lan", choices=["lan", "local", "wan"])
    parser.add_argument("--replicas", type=int, default=0, help="containers that run meanwhile; default: none")
    parser.add_argument(
        "--nice", type=int, default=0, help="of the daemons; -15 keeps a busy machine out of their steps"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there ('-': stdout)")
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """So that whatever ends us, nothing of ours stays behind."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    settings = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="hivemind-idle-") as folder:
        report = measure(settings, Path(folder))
    encoded = msgspec.json.format(msgspec.json.encode(report))
    if settings.json == Path("-"):
        print(encoded.decode())
        return 0
    if settings.json is not None:
        settings.json.write_bytes(encoded)
    print(table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
