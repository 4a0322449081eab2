"""Nodes on the hosts of a lab (tests/lab), whose network can be cut, lossy and slow, and whose disks are small."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import trio

from tests.faults.faults import OUTAGE_S, Fault, jump_clock
from tests.faults.log_cluster import LogCluster, Member
from tests.lab.lab import Lab
from tests.lab.process import HostProcess
from tests.support.small_disk import small_disk

_ROOT = Path(__file__).resolve().parents[2]
DISK_BYTES = 24 * 1024 * 1024


class LabMember(Member):
    """Its process runs in all namespaces of a host."""

    lab: Lab
    number: int
    host_process: HostProcess | None = None

    @property
    def running(self) -> bool:
        return self.host_process is not None and self.host_process.poll() is None

    def start(self) -> None:
        assert not self.running
        env = {**self.env, "PYTHONPATH": str(_ROOT)}
        self.host_process = self.lab.host(self.number).popen(self.argv, env, log=self.log)

    def signal(self, number: signal.Signals) -> None:
        if self.host_process is not None:
            self.host_process.signal(number)

    def kill(self) -> None:
        if self.host_process is not None:
            self.host_process.kill()


class LabCluster(LogCluster):
    """`LabCluster.up(folder, 5)` in a `with`; then as a LogCluster."""

    def __init__(self, lab: Lab, folder: Path, size: int, **config: Any) -> None:
        self.lab = lab
        addresses = [lab.host(number).address for number in range(1, size + 1)]
        super().__init__(folder, size, addresses=addresses, **config)

    def make_member(self, name: str, address: str, config: dict[str, Any]) -> Member:
        member = LabMember(name, self.folder, address, config)
        member.lab, member.number = self.lab, int(name[1:])
        return member

    @classmethod
    @contextmanager
    def up(cls, folder: Path, size: int, **config: Any) -> Iterator[Self]:
        """A lab of `size` hosts; each node's data directory is a small tmpfs."""
        with ExitStack() as stack:
            for number in range(1, size + 1):
                stack.enter_context(small_disk(folder / f"n{number}", DISK_BYTES))
            cluster = cls(stack.enter_context(Lab(size, engines=False)), folder, size, **config)
            stack.callback(cluster.stop)
            yield cluster

    def number(self, name: str) -> int:
        return int(name[1:])

    def drop(self, source: int, target: int) -> None:
        """No frame passes from one host to another, until the lab's `unpartition`."""
        self.lab.switch._nft(f"add rule bridge lab partition iifname p{source} oifname p{target} drop")


def _lab(cluster: LogCluster) -> LabCluster:
    assert isinstance(cluster, LabCluster)
    return cluster


async def _for_a_while(cluster: LabCluster, rng: random.Random) -> None:
    await trio.sleep(rng.uniform(OUTAGE_S, 3 * OUTAGE_S))
    cluster.lab.unpartition()


async def isolate_leader(cluster: LogCluster, rng: random.Random) -> None:
    """From the other nodes; its clients still reach it."""
    here = _lab(cluster)
    leader = here.number(await cluster.leader())
    here.lab.partition([leader], [here.number(name) for name in cluster.names if here.number(name) != leader])
    await _for_a_while(here, rng)


async def split(cluster: LogCluster, rng: random.Random) -> None:
    """A minority with the leader, and the rest."""
    here = _lab(cluster)
    leader = here.number(await cluster.leader())
    others = [here.number(name) for name in cluster.names if here.number(name) != leader]
    minority = [leader, *rng.sample(others, (len(cluster.names) - 1) // 2 - 1)]
    here.lab.partition(minority, [number for number in others if number not in minority])
    await _for_a_while(here, rng)


async def deafen_leader(cluster: LogCluster, rng: random.Random) -> None:
    """One way: the leader is heard, and hears nobody; or the other way around."""
    here = _lab(cluster)
    leader = here.number(await cluster.leader())
    heard = rng.random() < 0.5
    for name in cluster.names:
        if (other := here.number(name)) != leader:
            here.drop(*((other, leader) if heard else (leader, other)))
    await _for_a_while(here, rng)


async def ring(cluster: LogCluster, rng: random.Random) -> None:
    """Each node reaches its two neighbours only: with five, as many majorities as nodes, none the same."""
    here = _lab(cluster)
    numbers = [here.number(name) for name in cluster.names]
    rng.shuffle(numbers)
    size = len(numbers)
    for i in range(size):
        for j in range(i + 1, size):
            if (j - i) % size not in (1, size - 1):
                here.lab.partition([numbers[i]], [numbers[j]])
    await _for_a_while(here, rng)


async def bridge(cluster: LogCluster, rng: random.Random) -> None:
    """Two sides that reach each other only through one node."""
    here = _lab(cluster)
    numbers = [here.number(name) for name in cluster.names]
    rng.shuffle(numbers)
    half = (len(numbers) - 1) // 2
    here.lab.partition(numbers[1 : half + 1], numbers[half + 1 :])
    await _for_a_while(here, rng)


async def lose_packets(cluster: LogCluster, rng: random.Random) -> None:
    here = _lab(cluster)
    hosts = [here.lab.host(here.number(name)) for name in rng.sample(cluster.names, 2)]
    for host in hosts:
        host.loss(rng.choice([5, 15, 30]))
    await trio.sleep(2 * OUTAGE_S)
    for host in hosts:
        host.loss(0)


async def delay_packets(cluster: LogCluster, rng: random.Random) -> None:
    here = _lab(cluster)
    hosts = [here.lab.host(here.number(name)) for name in rng.sample(cluster.names, 2)]
    for host in hosts:
        host.delay(rng.choice([20, 100, 200]), 50)
    await trio.sleep(2 * OUTAGE_S)
    for host in hosts:
        host.delay(0)


async def flap(cluster: LogCluster, rng: random.Random) -> None:
    """A node is cut off and back again, quickly."""
    here = _lab(cluster)
    number = here.number(rng.choice(cluster.names))
    for _ in range(6):
        here.lab.partition([number], [here.number(n) for n in cluster.names if here.number(n) != number])
        await trio.sleep(rng.uniform(0.1, 1.0))
        here.lab.unpartition()
        await trio.sleep(rng.uniform(0.1, 1.0))


LAB_FAULTS: tuple[Fault, ...] = (
    isolate_leader,
    split,
    deafen_leader,
    ring,
    bridge,
    lose_packets,
    delay_packets,
    flap,
    jump_clock,
)
