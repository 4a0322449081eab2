"""Five cores under virtual time: loss, delay, partitions, crashes with unsynced data lost; safety after every step.

A first, small form of bar 3 of issue 4. Properties: Raft paper, figure 3 (election safety, log matching, leader
completeness by way of acknowledged entries, state machine safety). The seed is in the test's name.
"""

from __future__ import annotations

import heapq
import itertools
import random
import shutil
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
import structlog

from consensus.raft import RaftConfig
from consensus.raft.core import Core
from consensus.raft.durability import Durability
from consensus.raft.journal import Flush
from consensus.raft.storage import create_storage, open_storage
from consensus.raft.transport import transport_over

NAMES = ("a", "b", "c", "d", "e")
TICK_S = 0.05


class Machine:
    def __init__(self) -> None:
        self.applied: list[tuple[int, bytes]] = []

    def apply(self, index: int, entry: bytes) -> int:
        self.applied.append((index, entry))
        return index

    def freeze(self) -> Any:
        raise AssertionError("no snapshots here")

    def restore(self, data: bytes) -> None:
        raise AssertionError("no snapshots here")


class SimulatedNode:
    """One core. The disk of a crash is a copy taken when the last flush was finished."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.live_dir, self.disk_dir = world.path / name / "live", world.path / name / "disk"
        create_storage(self.live_dir, name, NAMES)
        shutil.copytree(self.live_dir, self.disk_dir)
        self.up = False

    def start(self) -> None:
        shutil.rmtree(self.live_dir)
        shutil.copytree(self.disk_dir, self.live_dir)
        self.storage = open_storage(self.live_dir, self.name)
        self.machine = Machine()
        self.durability = Durability(self.storage.journal)
        self.flush: Flush | None = None
        self.core = Core(
            node_id=self.name,
            config=msgspec.structs.replace(RaftConfig(), exchange_timeout_s=0.5),
            journal=self.storage.journal,
            voters=self.storage.voters,
            machine=self.machine,
            snapshots=self.storage.snapshots,
            durability=self.durability,
            transport=transport_over(self),
            rng=random.Random(self.world.rng.random()),
            clock=lambda: self.world.now_s,
            applied_index=self.storage.applied_index,
            committed_voters=self.storage.committed_voters,
        )
        self.core.transport.start()
        for name in NAMES:
            if name != self.name:
                self.core.transport.link_up(name)
        self.up = True

    def crash(self) -> None:
        self.up = False
        self.storage.close()

    def begin_flush(self) -> None:
        if self.flush is None and self.storage.journal.dirty:
            self.flush = self.storage.journal.begin_flush()
            self.world.after(self.world.rng.uniform(0.001, 0.2), lambda flush=self.flush: self.end_flush(flush))

    def end_flush(self, flush: Flush) -> None:
        if not self.up or self.flush is not flush:
            return
        flush.run()
        self.storage.journal.flushed(flush)
        self.flush = None
        for file in ("votes", "journal", "journal.mark"):
            shutil.copyfile(self.live_dir / file, self.disk_dir / file)
        self.durability._release()

    # RaftLinks

    def connect(self, node_id: str) -> None: ...

    def disconnect(self, node_id: str) -> None: ...

    def listen(self, receiver: Any) -> None: ...

    def send(self, node_id: str, body: Any) -> bool:
        world = self.world
        copies = 0 if world.rng.random() < world.loss else 1 + (world.rng.random() < 0.05)
        packed = msgpack.packb(body)
        for _ in range(copies):
            world.after(world.rng.expovariate(1 / world.delay_s), lambda: world.deliver(self.name, node_id, packed))
        return True


class World:
    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.loss = self.rng.choice([0.0, 0.05, 0.2])
        self.delay_s = self.rng.choice([0.005, 0.05, 0.15])
        self.events: list[tuple[float, int, Any]] = []
        self.order = itertools.count()
        self.cut: set[tuple[str, str]] = set()
        self.nodes = {name: SimulatedNode(self, name) for name in NAMES}
        self.leaders: dict[int, str] = {}
        self.applied: dict[int, bytes] = {}
        self.acknowledged: dict[int, bytes] = {}
        self.proposed = itertools.count()
        self.calm = False

    def after(self, delay_s: float, action: Any) -> None:
        heapq.heappush(self.events, (self.now_s + delay_s, next(self.order), action))

    def deliver(self, source: str, target: str, packed: bytes) -> None:
        node = self.nodes[target]
        if node.up and self.nodes[source].up and (source, target) not in self.cut:
            node.core.receive(source, msgpack.unpackb(packed))
            self.step(node)

    def step(self, node: SimulatedNode) -> None:
        node.core._onTick()
        node.begin_flush()
        self.check(node)

    def tick(self, name: str) -> None:
        node = self.nodes[name]
        if node.up:
            if node.core._isLeader() and self.rng.random() < 0.5:
                self.propose(node)
            self.step(node)
        self.after(TICK_S * self.rng.uniform(0.5, 1.5), lambda: self.tick(name))

    def propose(self, node: SimulatedNode) -> None:
        command = b"%d" % next(self.proposed)

        def answered(index: Any, reason: int) -> None:
            if reason == 0:
                self.acknowledged[index] = command

        node.core._applyCommand(b"\0" + command, answered)

    def disturb(self) -> None:
        if self.calm:
            return
        name = self.rng.choice(NAMES)
        match self.rng.choice(["crash", "crash", "cut", "one_way", "heal", "heal", "all"]):
            case "crash" if self.nodes[name].up:
                self.restart([name])
            case "all":
                self.restart([name for name in NAMES if self.nodes[name].up])
            case "cut":
                side = set(self.rng.sample(NAMES, 2))
                rest = set(NAMES) - side
                self.cut = {(a, b) for a in side for b in rest} | {(b, a) for a in side for b in rest}
            case "one_way":
                self.cut = {(name, other) for other in NAMES}
            case "heal":
                self.cut = set()
        self.after(self.rng.uniform(0.2, 3.0), self.disturb)

    def restart(self, names: list[str]) -> None:
        for name in names:
            self.nodes[name].crash()
            self.after(self.rng.uniform(0.1, 2.0), self.nodes[name].start)

    def check(self, node: SimulatedNode) -> None:
        core = node.core
        if core._isLeader():
            assert self.leaders.setdefault(core.raftCurrentTerm, node.name) == node.name, "two leaders in a term"
        for index, entry in node.machine.applied:
            assert self.applied.setdefault(index, entry) == entry, f"entry {index} differs between nodes"
        node.machine.applied.clear()

    def run(self, until_s: float) -> None:
        while self.events[0][0] < until_s:
            self.now_s, _, action = heapq.heappop(self.events)
            action()


def check_logs_match(world: World) -> None:
    """Log matching: the same index and term mean the same log up to there."""
    for one, other in itertools.combinations(world.nodes.values(), 2):
        mine, theirs = list(one.storage.journal[:]), list(other.storage.journal[:])
        same = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a.term == b.term]
        if same:
            assert mine[: same[-1] + 1] == theirs[: same[-1] + 1]


@pytest.mark.parametrize("seed", range(12))
def test_safety(tmp_path, seed):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    world = World(tmp_path, seed)
    try:
        for name in NAMES:
            world.nodes[name].start()
            world.tick(name)
        world.after(2.0, world.disturb)
        world.run(until_s=40)
        world.cut, world.loss, world.calm = set(), 0.0, True
        world.run(until_s=55)
        check_logs_match(world)
        (leader,) = [node for node in world.nodes.values() if node.core._isLeader()]
        assert all(node.core.raftCommitIndex > leader.core.raftCommitIndex - 50 for node in world.nodes.values())
        for index, command in world.acknowledged.items():
            assert leader.storage.journal.at(index).command == b"\0" + command, "an acknowledged entry is lost"
        assert len(world.acknowledged) > 20
    finally:
        structlog.reset_defaults()
        for node in world.nodes.values():
            if node.up:
                node.crash()
