"""What is done to a cluster of real processes while clients read and write; each fault ends what it began."""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable

import trio

from tests.faults.log_client import Refused, Unknown
from tests.faults.log_cluster import LogCluster

Fault = Callable[[LogCluster, random.Random], Awaitable[None]]
OUTAGE_S = 2.5


async def _restart(cluster: LogCluster, names: list[str], down_s: float) -> None:
    for name in names:
        cluster[name].signal(signal.SIGKILL)
    for name in names:
        cluster[name].kill()
    await trio.sleep(down_s)
    for name in names:
        cluster[name].start()


def _others(cluster: LogCluster, name: str) -> list[str]:
    return [other for other in cluster.names if other != name]


async def kill_leader(cluster: LogCluster, rng: random.Random) -> None:
    await _restart(cluster, [await cluster.leader()], rng.uniform(0.2, OUTAGE_S))


async def kill_follower(cluster: LogCluster, rng: random.Random) -> None:
    await _restart(cluster, [rng.choice(_others(cluster, await cluster.leader()))], rng.uniform(0.2, OUTAGE_S))


async def kill_majority(cluster: LogCluster, rng: random.Random) -> None:
    await _restart(cluster, rng.sample(cluster.names, len(cluster.names) // 2 + 1), rng.uniform(0.2, 1.5))


async def kill_all(cluster: LogCluster, rng: random.Random) -> None:
    await _restart(cluster, cluster.names, 0)


async def kill_again_and_again(cluster: LogCluster, rng: random.Random) -> None:
    """Somebody, also while it starts: what a start does must bear an end at any moment."""
    name = rng.choice(cluster.names)
    for _ in range(5):
        await _restart(cluster, [name], 0)
        await trio.sleep(rng.uniform(0, 1.0))


async def stop_leader(cluster: LogCluster, rng: random.Random) -> None:
    await _pause(cluster, [await cluster.leader()], rng.uniform(1.5, 4))


async def stop_follower(cluster: LogCluster, rng: random.Random) -> None:
    await _pause(cluster, [rng.choice(_others(cluster, await cluster.leader()))], rng.uniform(1.5, 4))


async def stop_majority(cluster: LogCluster, rng: random.Random) -> None:
    await _pause(cluster, rng.sample(cluster.names, len(cluster.names) // 2 + 1), rng.uniform(1, 3))


async def _pause(cluster: LogCluster, names: list[str], pause_s: float) -> None:
    for name in names:
        cluster[name].signal(signal.SIGSTOP)
    await trio.sleep(pause_s)
    for name in names:
        cluster[name].signal(signal.SIGCONT)


async def stop_and_kill(cluster: LogCluster, rng: random.Random) -> None:
    """The leader pauses, the rest is killed and comes back; then the leader wakes."""
    leader = await cluster.leader()
    cluster[leader].signal(signal.SIGSTOP)
    await _restart(cluster, _others(cluster, leader), 0.3)
    await trio.sleep(rng.uniform(0.5, 3))
    cluster[leader].signal(signal.SIGCONT)


async def transfer(cluster: LogCluster, rng: random.Random) -> None:
    for _ in range(3):
        try:
            await cluster.ask(await cluster.leader(), "transfer")
        except (Refused, Unknown):
            await trio.sleep(0.2)


async def change_voters(cluster: LogCluster, rng: random.Random) -> None:
    """A voter, perhaps the leader itself, loses its vote and gets it back; sometimes the leader is killed meanwhile."""
    name = rng.choice(cluster.names)
    try:
        await cluster.ask(await cluster.leader(), "remove_voter", name)
    except (Refused, Unknown):
        return
    if rng.random() < 0.5:
        await _restart(cluster, [await cluster.leader()], rng.uniform(0, 1))
    else:
        await trio.sleep(rng.uniform(0, 1))
    await cluster.add_voter(name)


async def jump_clock(cluster: LogCluster, rng: random.Random) -> None:
    """The wall clock of one node jumps by up to a day, and again; its monotonic clock runs as it does.

    Only for the time of the fault, by a restart: libfaketime alone holds processes up for as much as a second.
    """
    member = cluster[rng.choice(cluster.names)]
    file = trio.Path(cluster.folder / f"{member.name}.clock")
    await file.write_text(f"{rng.uniform(-86400, 86400):+.0f}")
    member.env = {
        "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    await _restart(cluster, [member.name], 0)
    await trio.sleep(2 * OUTAGE_S)
    await file.write_text(f"{rng.uniform(-86400, 86400):+.0f}")
    await trio.sleep(OUTAGE_S)
    member.env = {}
    await _restart(cluster, [member.name], 0)


async def fill_disk(cluster: LogCluster, rng: random.Random) -> None:
    """The disk of a node fills up (its data directory must be a file system of its own), and gets room again."""
    leader = await cluster.leader()
    name = rng.choice([leader, rng.choice(cluster.names)])
    balloon = cluster[name].data_dir / "balloon"
    with balloon.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(16 * 1024))
        except OSError:
            pass
    if rng.random() < 0.3:
        await _restart(cluster, [name], 0.2)
    await trio.sleep(rng.uniform(2, 5))
    balloon.unlink()


PROCESS_FAULTS: tuple[Fault, ...] = (
    kill_leader,
    kill_follower,
    kill_majority,
    kill_all,
    kill_again_and_again,
    stop_leader,
    stop_follower,
    stop_majority,
    stop_and_kill,
    transfer,
    change_voters,
)
