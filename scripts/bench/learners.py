"""What learners cost the leader: at rest, and with each write.

    .venv/bin/python -m scripts.bench.learners [--learners 0 10 100 300] [--seconds 8]

Three consensus-only processes that vote (tests/faults/log_node.py), and a process that plays all learners: each has a
peer channel of its own with its own certificate, says yes to every append, and keeps nothing. With each write only the
leader's CPU is counted; its longest step is by the CPU clock, because others' work holds it up, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import trio

from hivemind.peer import Identity, PeerChannel
from hivemind.peer.ca import make_csr, make_key
from scripts.bench.consensus import KEYS, VALUE, measure
from scripts.bench.machine_load import machine_cpu_s, processes_cpu_s
from tests.faults.log_cluster import PEER_PORT, LogCluster

_HELLO_S = 1.0
_READY_TIMEOUT_S = 120.0


class Learner:
    """Follows whoever appends to it."""

    def __init__(self, identity: Identity, peers: dict[str, tuple[str, int]], voters: list[str]) -> None:
        name = identity.node_id
        self.channel = PeerChannel(identity, bind=peers[name], resolve=peers.get, rng=random.SystemRandom())
        self.channel.listen(self)
        self.heard = trio.Event()
        self._voters = voters
        self._last_index = 1
        for voter in voters:
            self.channel.connect(voter)

    async def run(self, ready: trio.CapacityLimiter) -> None:
        async with trio.open_nursery() as nursery:
            async with ready:
                await nursery.start(self.channel.run)
            while True:
                if not self.heard.is_set():
                    for voter in self._voters:
                        self._say(voter, 0, {"type": "learner", "last_log_index": self._last_index})
                await trio.sleep(_HELLO_S)

    def up(self, node_id: str) -> None: ...

    def down(self, node_id: str) -> None: ...

    def message(self, node_id: str, body: Any) -> None:
        if body["type"] != "append_entries":
            return
        if "prevLogIdx" in body:
            self._last_index = body["prevLogIdx"] + len(body["entries"])
            self.heard.set()
        if not body.get("quiet"):
            answer = {"type": "next_node_idx", "next_node_idx": self._last_index + 1, "reset": False, "success": True}
            self._say(node_id, body["term"], answer | {"exchange": body["exchange"]})

    def _say(self, node_id: str, term: int, body: dict[str, Any]) -> None:
        self.channel.send(node_id, body | {"from_term": term})


def _learners(path: Path) -> list[Learner]:
    about = json.loads(path.read_text())
    peers = {name: (host, port) for name, (host, port) in about["peers"].items()}
    return [Learner(Identity.load(Path(folder)), peers, about["voters"]) for folder in about["folders"]]


async def play(path: Path) -> None:
    """The learners of the file `path`, until killed; says `ready` when the leader appends to all of them."""
    learners = _learners(path)
    # TLS handshakes of all at once would take each longer than its deadline.
    dialling = trio.CapacityLimiter(8)
    async with trio.open_nursery() as nursery:
        for learner in learners:
            nursery.start_soon(learner.run, dialling)
        for learner in learners:
            await learner.heard.wait()
        print("ready", flush=True)


@asynccontextmanager
async def cluster_with(folder: Path, count: int) -> AsyncIterator[LogCluster]:
    net = f"127.{random.randrange(80, 250)}.{random.randrange(200)}"
    voters = {f"n{number}": [f"{net}.{number}", PEER_PORT] for number in (1, 2, 3)}
    names = [f"learner{number}" for number in range(count)]
    places = {name: [f"{net}.{10 + number % 200}", 8000 + number] for number, name in enumerate(names)}
    addresses = [host for host, _ in voters.values()]
    cluster = LogCluster(folder, 3, addresses=addresses, peers=voters | places, machine="values")
    for name in names:
        key = make_key()
        certificate = cluster.ca.sign(make_csr(key, name), name, now_s=time.time() - 86400, lifetime_s=400 * 86400)
        (folder / name).mkdir()
        identity = Identity(name, "faults", key, certificate, (cluster.ca.certificate_pem,), bytes(32), b"keys")
        identity.save(folder / name)
    about = {"peers": voters | places, "voters": list(voters), "folders": [str(folder / name) for name in names]}
    (folder / "learners.json").write_text(json.dumps(about))
    argv = [sys.executable, "-m", "scripts.bench.learners", "--play", str(folder / "learners.json")]
    async with cluster:
        await cluster.settle()
        crowd = await trio.lowlevel.open_process(argv, stdout=subprocess.PIPE)
        try:
            assert crowd.stdout is not None
            with trio.fail_after(_READY_TIMEOUT_S):
                said = await crowd.stdout.receive_some()
            if not said.startswith(b"ready"):
                raise RuntimeError("the learners did not come up")
            yield cluster
        finally:
            crowd.kill()


async def bench(count: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-learners-") as folder:
        async with cluster_with(Path(folder), count) as cluster:
            leader = await cluster.leader()
            process = cluster[leader].process
            assert process is not None
            await trio.sleep(2)
            followers = [member.process for name, member in cluster.members.items() if name != leader]
            pids = [process.pid, *(follower.pid for follower in followers if follower is not None)]
            before_s, others_s = {pid: processes_cpu_s([pid]) for pid in pids}, machine_cpu_s()
            await trio.sleep(seconds)
            busy = (machine_cpu_s() - others_s) / seconds
            rest, *others = (100 * (processes_cpu_s([pid]) - before_s[pid]) / seconds for pid in pids)
            print(
                f"{count:4} learners, load {os.getloadavg()[0]:.0f}: at rest {rest:5.2f} % of a core,"
                f" the other voters at most {max(others):.2f} % (machine {100 * busy:.0f} %)"
            )
            async with cluster.client(leader) as client:

                async def write(number: int) -> None:
                    await client("raw", b"%08d" % (number % KEYS) + VALUE)

                for outstanding in (1, 64):
                    await client("reset_lag")
                    result = await measure(write, outstanding, seconds, [process.pid])
                    status = await client("status")
                    step = f"{1000 * status['lag_cpu_s']:.1f} ms of CPU ({status['lag_task']})"
                    print(f"     {outstanding:2} outstanding: {result}, longest step {step}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, nargs="+", default=[0, 10, 100, 300])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        await play(options.play)
        return
    for count in options.learners:
        await bench(count, options.seconds)


if __name__ == "__main__":
    trio.run(main)
