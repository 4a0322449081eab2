"""The command line of the simulator: `scripts/sim --help`.

Every experiment is deterministic by its seeds, and an assertion that fails prints its seed. To see what happened, run
the one seed with `--trace FILE`: it holds each input and each effect of each member, in order.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from membership import PRESETS, SwimConfig
from tests.sim.swim import experiments, fuzz, lifeguard
from tests.sim.swim.world import Simulation, Trace

CONFIGS = {name: preset() for name, preset in PRESETS.items()} | {"fast": experiments.FAST}


def main() -> None:
    """Run one experiment and print its figures."""
    arguments = _parser().parse_args()
    started_s = time.monotonic()
    # What a simulation keeps is not garbage, and looking for some takes a fifth of the time.
    gc.disable()
    with _trace(arguments.trace) as trace:
        for line in _lines(arguments, trace):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"({time.monotonic() - started_s:.1f} s of real time)\n")


def _lines(arguments: argparse.Namespace, trace: Trace | None) -> Iterator[str]:
    config: SwimConfig = CONFIGS[arguments.config]
    if arguments.suspicion_mult is not None:
        config = msgspec.structs.replace(config, suspicion_mult=arguments.suspicion_mult)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    match arguments.experiment:
        case "lifeguard":
            yield from lifeguard.table(seeds, lifeguard.Anomaly())
        case "lifeguard-presets":
            lifeguard.CONFIGURATIONS["fast"] = experiments.FAST
            yield from lifeguard.table(seeds, lifeguard.Anomaly(), ("lan preset", "fast"))
        case "detection" if trace is not None:
            yield str(experiments.death(config, members=arguments.members, seed=arguments.seed, trace=trace))
        case "detection":
            yield from experiments.deaths(config, members=arguments.members, seeds=seeds)
        case "swim":
            for members in (10, 100, 1000):
                count = len(seeds) if members < 1000 else max(1, len(seeds) // 10)
                yield experiments.swim_figures(members=members, seeds=seeds[:count], config=config)
        case "joins":
            yield experiments.joins(members=arguments.members, seeds=seeds, config=config)
        case "churn":
            for seed in seeds:
                yield experiments.churn(
                    members=arguments.members, seed=seed, duration_s=arguments.seconds, every_s=5, trace=trace
                )
        case "fuzz":
            gc.enable()
            yield from fuzz.fuzz(seconds=arguments.seconds, seed=arguments.seed)
        case "idle":
            yield _idle(config, arguments.members, arguments.seconds, arguments.seed, trace)


def _idle(config: SwimConfig, members: int, seconds: float, seed: int, trace: Trace | None) -> str:
    started_s = time.process_time()
    sim = Simulation(config, seed=seed, quality=experiments.LAN_QUALITY, clock_drift=1e-4, trace=trace)
    sim.start_acquainted(members)
    sim.run(seconds)
    took_s = time.process_time() - started_s
    messages, sent_bytes = (sim.sent[kind] / (seconds * members) for kind in ("packets", "bytes"))
    return (
        f"{members} members for {seconds:.0f} s of virtual time, seed {seed}: {took_s:.1f} s of processor time;"
        f" {messages:.2f} messages and {sent_bytes:.0f} bytes per member and second;"
        f" {sim.recorder.deaths_seen} false deaths, {sim.total('suspicions')} suspicions"
    )


@contextmanager
def _trace(path: Path | None) -> Iterator[Trace | None]:
    if path is None:
        yield None
        return
    with path.open("w") as file:

        def write(now_s: float, name: str, what: object) -> None:
            file.write(f"{now_s:.6f} {name} {what}\n")

        yield write


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/sim", description="Simulate clusters of pure SWIM cores.")
    parser.add_argument(
        "experiment", choices=["lifeguard", "lifeguard-presets", "detection", "swim", "joins", "churn", "idle", "fuzz"]
    )
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds")
    parser.add_argument("--seconds", type=float, default=600, help="virtual time of idle and churn")
    parser.add_argument("--config", choices=sorted(CONFIGS), default="lan")
    parser.add_argument("--suspicion-mult", type=float, default=None)
    parser.add_argument("--trace", type=Path, default=None, help="write all that happens to this file")
    return parser


if __name__ == "__main__":
    main()
