"""Deploys over three Docker engines: Hivemind beside Docker Swarm and beside the plain engine, in one run.

    .venv/bin/python scripts/bench/deploy.py --rounds 5 --rows 1,10,30,60,scale,update,killed,node-loss --json FILE

Needs root and what tests/lab needs. Rows:
  N           N containers of busybox, from the request until the engines say that all run
  scale       10 → 30, 30 → 10
  update      10 containers are replaced by others, 1 and 10 at a time, each stopped before its successor starts
  killed      one of 3 containers is killed: until 3 run again
  node-loss   9 containers, one host is killed: until 9 run on the others; with Hivemind's preset `lan`, and with
              `local` in a row of its own (beside the same losses of Swarm)
Hivemind's containers have names and addresses across all nodes, as those of `swarm overlay`. For these, as for those of
`floor network`, the engine sets up a resolver in each container, which is a third of what a start costs (Docker 20.10).
`swarm` and `floor` are on the default bridge, as Hivemind is with --overlay off.
Contenders take turns, round by round, each on clean engines; the others' daemons idle meanwhile (their cost is in the
JSON). Seconds come from the engines' own time stamps; a ratio is Hivemind's median over the other's.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

# The folder of this script has files whose names are packages' (membership).
sys.path[0] = str(Path(__file__).resolve().parents[2])

import msgspec  # noqa: E402

from runtime.agent_config import starts_for  # noqa: E402
from scripts.bench.contenders import (  # noqa: E402
    Contender,
    DockerCommand,
    Floor,
    Hivemind,
    NetworkFloor,
    Swarm,
    SwarmOverlay,
)
from scripts.bench.figures import Row, Sample, summary, table  # noqa: E402
from scripts.bench.hivemind_nodes import HivemindNodes  # noqa: E402
from scripts.bench.node_loss import NodeLoss  # noqa: E402
from scripts.bench.rounds import Stopwatch, deploy_row, killed_row, scale_rows, update_rows  # noqa: E402
from scripts.bench.running import RunningContainers  # noqa: E402
from tests.lab.lab import Lab, why_no_lab  # noqa: E402

PARALLEL = starts_for(os.cpu_count() or 1)
"""As the agent's, so that the floor is not made of the engine's own contention."""
LOCAL_LOSS = "loss, local"
CONTENDERS = ("hivemind", "swarm", "floor", "swarm overlay", "floor network", "docker run")


class Report(msgspec.Struct, frozen=True):
    """What --json writes."""

    arguments: list[str]
    rows: list[Row]
    samples: list[Sample]


class Bench:
    """One lab with every contender on it."""

    def __init__(self, lab: Lab, settings: argparse.Namespace, running: RunningContainers) -> None:
        self._lab = lab
        self._settings = settings
        self._options = ("--overlay", settings.overlay)
        self._nodes = HivemindNodes(lab, options=self._options)
        kinds = (kind for kind in (Swarm, SwarmOverlay) if kind.name in settings.contenders)
        self._swarms = {kind.name: kind(lab) for kind in kinds}
        self._watch = Stopwatch(lab.place.prefix, running, lambda: self._nodes.pids, settings.settle)
        self.samples: list[Sample] = []

    def run(self) -> None:
        settings = self._settings
        if "hivemind" in settings.contenders:
            self._nodes.start()
        if self._swarms:
            Swarm(self._lab).start()
        if "swarm overlay" in self._swarms:
            self._swarms["swarm overlay"].start()
        contenders = self._contenders()
        rows = [row for row in settings.rows if row != "node-loss"]
        for number in range(settings.rounds):
            # Whoever begins finds the caches as the last one left them.
            turns = contenders[number % len(contenders) :] + contenders[: number % len(contenders)]
            for row in rows:
                for contender in turns:
                    self._measure(row, contender, number)
        if "node-loss" in settings.rows:
            self._lose_nodes()

    def _contenders(self) -> list[Contender]:
        settings = self._settings
        makers: dict[str, Callable[[], Contender]] = {
            "hivemind": lambda: Hivemind(self._nodes, self._lab.host(settings.entry)),
            "floor": lambda: Floor(self._lab, settings.floor_parallel),
            "floor network": lambda: NetworkFloor(self._lab, settings.floor_parallel),
            "docker run": lambda: DockerCommand(self._lab, settings.floor_parallel),
        }
        return [self._swarms.get(name) or makers[name]() for name in settings.contenders]

    def _measure(self, row: str, contender: Contender, number: int) -> None:
        if row.isdigit():
            self._note([deploy_row(self._watch, contender, int(row), number)])
        elif row == "scale" and contender.name != "docker run":
            self._note(scale_rows(self._watch, contender, number))
        elif isinstance(contender, Hivemind | Swarm):
            # Nobody replaces what was started by hand.
            if row == "update":
                self._note(update_rows(self._watch, contender, number))
            elif row == "killed":
                self._note([killed_row(self._watch, self._lab, contender, number)])

    def _lose_nodes(self) -> None:
        names, rounds = self._settings.contenders, range(self._settings.rounds)
        nodes = self._nodes if "hivemind" in names else None
        swarms = list(self._swarms.values())
        loss = NodeLoss(self._lab, self._watch, self._settings.entry, nodes=nodes, swarms=swarms)
        for number in rounds:
            self._note(loss.samples("node loss", number))
        if nodes is None:
            return
        # Swarm has no presets: its losses are the same again.
        theirs = [s for s in self.samples if s.row == "node loss" and s.contender in self._swarms]
        self.samples += [msgspec.structs.replace(sample, row=LOCAL_LOSS) for sample in theirs]
        nodes.stop()
        self._nodes = HivemindNodes(self._lab, preset="local", options=self._options)
        self._nodes.start()
        loss = NodeLoss(self._lab, self._watch, self._settings.entry, nodes=self._nodes, swarms=[])
        for number in rounds:
            self._note(loss.samples(LOCAL_LOSS, number))

    def _note(self, samples: Sequence[Sample]) -> None:
        self.samples += samples
        for sample in samples:
            print(
                f"round {sample.round} {sample.row:9} {sample.contender:14} {sample.seconds:6.2f} s"
                f"  cpu {sample.lab_cpu_s:5.2f} s, daemons {sample.daemons_cpu_s:.2f} s"
                f"  others {sample.others_cores:.2f} cores, load {sample.load_average:.1f}",
                file=sys.stderr,
                flush=True,
            )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--rows", type=_rows, default=_rows("1,10,30"), help="default: 1,10,30")
    parser.add_argument("--contenders", type=_contenders, default=list(CONTENDERS[:5]), help=",".join(CONTENDERS))
    parser.add_argument("--entry", type=int, default=2, help="the host at which Hivemind is asked (1 founded it)")
    parser.add_argument(
        "--overlay",
        default="vxlan",
        choices=("vxlan", "host-gw", "off"),
        help="Hivemind's; off: its containers are on the engine's default bridge, as those of swarm and floor",
    )
    parser.add_argument(
        "--floor-parallel", type=int, default=PARALLEL, help=f"at once on an engine; default: {PARALLEL}"
    )
    parser.add_argument("--settle", type=float, default=1.0, metavar="S", help="a pause before each step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write samples and summary there ('-': stdout)")
    return parser.parse_args(arguments)


def _rows(text: str) -> list[str]:
    rows = text.split(",")
    if not all(row.isdigit() or row in ("scale", "update", "killed", "node-loss") for row in rows):
        raise argparse.ArgumentTypeError(f"numbers, scale, update, killed or node-loss, not {text!r}")
    return rows


def _contenders(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"of {', '.join(CONTENDERS)}, not {', '.join(unknown)}")
    return names


def _interrupt(number: int, frame: FrameType | None) -> None:
    """So that whatever ends us, nothing of ours stays behind."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    settings = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if reason := why_no_lab():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    with Lab(3) as lab, RunningContainers({host.name: host.docker_host for host in lab.hosts}) as running:
        bench = Bench(lab, settings, running)
        bench.run()
    rows = summary(bench.samples)
    encoded = msgspec.json.format(msgspec.json.encode(Report(list(arguments), rows, bench.samples)))
    if settings.json == Path("-"):
        print(encoded.decode())
        return 0
    if settings.json is not None:
        settings.json.write_bytes(encoded)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
