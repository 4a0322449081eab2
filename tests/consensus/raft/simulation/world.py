"""Several cores under virtual time, with everything that goes wrong; deterministic for a seed.

Loss, delay, reordering, repetition, partitions both and one ways, links that break, crashes that lose what was not
flushed (and tear what was being flushed), slow and full disks, snapshots, learners, membership changes, transfers.

    python -m tests.consensus.raft.simulation.world --seeds 1000 [--first 0]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import msgpack
import msgspec
import structlog

from consensus.raft import RaftConfig
from tests.consensus.raft.simulation.node import SimulatedNode
from tests.consensus.raft.simulation.properties import Properties, must

NAMES = ("a", "b", "c", "d", "e", "f")
TICK_S = 0.06
TROUBLE_S, CALM_S = 25.0, 20.0


class World:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.seed = seed
        self.now_s = 0.0
        self.loss = rng.choice([0.0, 0.02, 0.1, 0.25])
        self.delay_s = rng.choice([0.002, 0.02, 0.1])
        self.config = msgspec.structs.replace(
            RaftConfig(),
            exchange_timeout_s=rng.choice([0.3, 1.0]),
            batch_entries=rng.choice([1, 4, 1024]),
            snapshot_after_entries=rng.choice([8, 40, 10_000]),
            tail_entries_kept=rng.choice([0, 3, 7]),
            snapshot_chunk_bytes=rng.choice([30, 1000]),
            guest_expiry_s=3.0,
            apply_slice_s=1.0,
        )
        self.first_voters = NAMES[: rng.choice([1, 2, 3, 3, 5])]
        self.events: list[tuple[float, int, Callable[[], object]]] = []
        self.order = itertools.count()
        self.cut: set[tuple[str, str]] = set()
        self.properties = Properties()
        self.acknowledged: dict[int, bytes] = {}
        self.proposed = itertools.count()
        self.calm = False
        self.steps = 0
        self.nodes: dict[str, SimulatedNode] = {}
        for name in NAMES:
            self.nodes[name] = SimulatedNode(self, name)
        for node in self.nodes.values():
            node.start()

    def after(self, delay_s: float, action: Callable[[], object]) -> None:
        heapq.heappush(self.events, (self.now_s + delay_s, next(self.order), action))

    def deliver(self, source: str, target: str, packed: bytes) -> None:
        node = self.nodes[target]
        if node.up and self.nodes[source].up and (source, target) not in self.cut:
            node.core.receive(source, msgpack.unpackb(packed))
            self.step(node)

    def step(self, node: SimulatedNode) -> None:
        if node.up:
            self.steps += 1
            node.core._onTick()
            node.begin_flush()
            self.properties.look(node)

    def tick(self, node: SimulatedNode, run: int) -> None:
        if node.up and node.run == run:
            if node.core._isLeader():
                self._lead(node)
            self.step(node)
            self.after(TICK_S * self.rng.uniform(0.5, 1.5), lambda: self.tick(node, run))

    def _lead(self, node: SimulatedNode) -> None:
        chance = self.rng.random()
        if chance < 0.5:
            self._propose(node)
        elif chance < 0.52 and not self.calm:
            kind = self.rng.choice(["add", "rem"])
            node.core.propose_change(kind, self.rng.choice(NAMES), lambda result, reason: None)  # type: ignore[arg-type]
        elif chance < 0.525 and not self.calm:
            core = node.core
            core.begin_transfer()
            self.after(1.0, core.end_transfer)

    def _propose(self, node: SimulatedNode) -> None:
        command = b"%d" % next(self.proposed)

        def answered(index: Any, reason: int) -> None:
            if reason == 0:
                must(self.properties.commands[index] == command, f"{command!r} was acknowledged at another's index")
                self.acknowledged[index] = command

        node.core._applyCommand(b"\0" + command, answered)

    def disturb(self) -> None:
        if self.calm:
            return
        rng, name = self.rng, self.rng.choice(NAMES)
        match rng.choice(["crash", "crash", "cut", "one_way", "ring", "heal", "heal", "all", "full", "break"]):
            case "crash":
                self._restart([name])
            case "all":
                self._restart(list(NAMES))
            case "cut":
                side = set(rng.sample(NAMES, rng.randint(1, 3)))
                self.cut = {(x, y) for x in NAMES for y in NAMES if (x in side) != (y in side)}
            case "one_way":
                self.cut = {(name, other) if rng.random() < 0.5 else (other, name) for other in NAMES}
            case "ring":
                place = {n: i for i, n in enumerate(rng.sample(NAMES, len(NAMES)))}
                self.cut = {(x, y) for x in NAMES for y in NAMES if abs(place[x] - place[y]) not in (0, 1, 5)}
            case "heal":
                self.cut = set()
            case "full":
                node = self.nodes[name]
                node.full = True
                self.after(rng.uniform(0.5, 4), lambda: setattr(node, "full", False))
            case "break":
                for other in rng.sample(NAMES, 3):
                    self.nodes[other].peer_crashed(name)
                    self.nodes[other].peer_started(name)
        self.after(rng.uniform(0.1, 2.0), self.disturb)

    def _restart(self, names: list[str]) -> None:
        for name in names:
            if self.nodes[name].up:
                self.nodes[name].crash()
                self.after(self.rng.uniform(0.05, 2.0), self.nodes[name].start)

    def run_until(self, until_s: float) -> None:
        while self.events and self.events[0][0] < until_s:
            self.now_s, _, action = heapq.heappop(self.events)
            action()

    def run(self) -> None:
        """All of it. Raises Violation, or what else goes wrong."""
        self.after(1.0, self.disturb)
        self.run_until(TROUBLE_S)
        self.cut, self.loss, self.delay_s, self.calm = set(), 0.0, 0.005, True
        for node in self.nodes.values():
            node.full = False
        self.run_until(TROUBLE_S + CALM_S / 2)
        halfway = {name: node.core.raftLastApplied for name, node in self.nodes.items()}
        self.run_until(TROUBLE_S + CALM_S)
        self._check_end(halfway)

    def _check_end(self, halfway: dict[str, int]) -> None:
        """Peace is followed by progress: one leader, everybody level, nothing acknowledged lost."""
        leaders = [node for node in self.nodes.values() if node.core._isLeader()]
        must(len(leaders) == 1, f"{[node.name for node in leaders]} lead in peace")
        (leader,) = leaders
        applied = leader.core.raftLastApplied
        must(all(index <= applied for index in self.acknowledged), "an acknowledged entry is lost")
        for node in self.nodes.values():
            # With one entry in an append and a slow disk, catching up takes longer than the peace lasts.
            moves = node.core.raftLastApplied > halfway[node.name] + 10
            must(moves or node.core.raftLastApplied > applied - 60, f"{node.name} does not catch up")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The library has sets of nodes: their order must not differ from run to run.
        os.execve(
            sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
        )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began_s, steps, acknowledged, failed = time.monotonic(), 0, 0, 0
    for seed in range(options.first, options.first + options.seeds):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            failed += 1
            print(f"seed {seed} at {world.now_s:.3f} s: {type(error).__name__} {error}", flush=True)
        steps += world.steps
        acknowledged += len(world.acknowledged)
        if (seed + 1) % 100 == 0:
            print(f"{seed + 1}: {steps} steps, {acknowledged} writes, {time.monotonic() - began_s:.0f} s", flush=True)
    print(f"{options.seeds} seeds, {failed} failed, {steps} steps, {acknowledged} acknowledged writes")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
