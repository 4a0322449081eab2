"""A process that is nothing but a node of the replicated log: the real peer channel, Raft, state machine, proposer
and forwarding, without gossip, engine and API. Clients talk to it in msgpack over TCP.

    python -m tests.faults.log_node CONFIG.json

A request is ``[number, operation, *arguments]``, the answer ``[number, status, value]``; status is ``ok``, ``refused``
(certainly not done) or ``unknown``. So that faults are told apart from a slow API, there is nothing else in here.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import structlog
import trio

from consensus import commands
from consensus.errors import OutcomeUnknown as NoAnswer
from consensus.errors import Unavailable
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.model.node import NodeFacts
from consensus.model.volume import Volume
from consensus.outcomes import Refusal
from consensus.proposer import ClusterProposer
from consensus.raft import OutcomeUnknown, RaftConfig, RaftError, RaftNode
from hivemind.forwarding import SERVICE, Forwarding
from hivemind.observability.loop_lag import LoopLag
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError
from hivemind.peer.identity import Identity

_BARRIER = "raft.barrier"
_TIMEOUT_S = 5.0


class Values:
    """The smallest state machine: the last value of each key of eight bytes, as a bench needs it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def apply(self, index: int, entry: bytes) -> int:
        self.values[entry[:8]] = entry
        return index

    def image(self) -> Callable[[], list[bytes]]:
        values = dict(self.values)
        return lambda: [msgpack.packb(values)]

    def load(self, data: memoryview) -> Callable[[], Iterable[object]]:
        values = msgpack.unpackb(data)

        def put_in_place() -> Iterable[object]:
            self.values = values
            return ()

        return put_in_place


class LogNode:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.peers = {name: tuple(address) for name, address in config["peers"].items()}
        data_dir = Path(config["data_dir"])
        identity = Identity.load(data_dir)
        self.lag = LoopLag()
        rng = random.SystemRandom()
        self.channel = PeerChannel(identity, bind=self.peers[identity.node_id], resolve=self.peers.get, rng=rng)
        self.machine = Machine()
        settings = RaftConfig.local() if config.get("preset") == "local" else RaftConfig()
        for name, value in config.get("settings", {}).items():
            settings = _with(settings, name, value)
        self.raft = RaftNode(
            node_id=identity.node_id,
            data_dir=data_dir / "raft",
            links=self.channel,
            machine=Values() if config.get("machine") == "values" else self.machine,
            config=settings,
            rng=rng,
        )
        if not self.raft.has_state:
            if config.get("found"):
                self.raft.found()
            else:
                self.raft.learn(config["learn"])
        self.forwarding = Forwarding(self.raft, self.channel)
        session = f"{identity.node_id}-{secrets.token_hex(4)}"
        self.proposer = ClusterProposer(self.machine, self.forwarding.submit, session=session, leader_wait_s=3.0)
        self.channel.serve(SERVICE, self.forwarding.serve)
        self.channel.serve(_BARRIER, self._serve_barrier)
        self.channel.listen(self.raft)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.channel.run)
            await nursery.start(self.raft.run)
            gc.collect()
            gc.freeze()
            gc.set_threshold(1_000, 2, 50_000)
            self.lag.begin()
            host, port = self.config["client_host"], self.config["client_port"]
            await nursery.start(partial(trio.serve_tcp, self._serve, port, host=host))
            nursery.start_soon(self._watch_fault)
            nursery.start_soon(self._tell_leadership)

    async def _tell_leadership(self) -> None:
        """For the check that no term has two leaders."""
        seen = self.raft.leadership
        while True:
            print(f"LEADERSHIP term={seen.term} leads={int(seen.is_leader)}", file=sys.stderr, flush=True)
            seen = await self.raft.wait_leadership(seen)

    async def _watch_fault(self) -> None:
        while self.machine.fault is None:
            await self.machine.watch.changed(self.machine.watch.index)
        raise RuntimeError(self.machine.fault)

    async def _serve(self, stream: trio.SocketStream) -> None:
        unpacker = msgpack.Unpacker()
        answers: list[bytes] = []
        wake = trio.Event()

        async def answer(request: list[Any]) -> None:
            answers.append(msgpack.packb([request[0], *await self._handle(*request[1:])]))
            wake.set()

        async def write() -> None:
            nonlocal wake
            while True:
                await wake.wait()
                wake = trio.Event()
                batch = b"".join(answers)
                answers.clear()
                await stream.send_all(batch)

        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(write)
                async for data in stream:
                    unpacker.feed(data)
                    for request in unpacker:
                        nursery.start_soon(answer, request)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _handle(self, operation: str, *arguments: Any) -> tuple[str, Any]:
        try:
            return "ok", await getattr(self, f"do_{operation}")(*arguments)
        except (NoAnswer, OutcomeUnknown) as error:
            return "unknown", str(error)
        except (Unavailable, RaftError, PeerError, trio.TooSlowError) as error:
            return "refused", f"{type(error).__name__}: {error}"

    # What clients ask for.

    async def do_raw(self, value: bytes) -> int:
        """A bench's write: one entry, at the leader."""
        return (await self.raft.propose(value, timeout_s=_TIMEOUT_S)).index

    async def do_write(self, key: str, value: str) -> int:
        return await self._propose(commands.LabelNode(node_id=key, labels={"value": value}))

    async def do_read(self, key: str) -> str | None:
        """A consistent read: by a round of heartbeats after it arrived."""
        await self._barrier()
        node = self.machine.state.nodes.get(key)
        return None if node is None else node.labels.get("value")

    async def do_add_key(self, key: str) -> int:
        number = int.from_bytes(key.encode()[-6:], "big")
        facts = NodeFacts(address=key, api_port=1, peer_port=1 + number % 65535)
        return await self._propose(commands.AddNode(node_id=key, facts=facts))

    async def do_create(self, name: str) -> int:
        """A write that is refused the second time."""
        return await self._propose(commands.CreateVolume(volume=Volume(name=name, created_at_s=0.0)))

    async def do_delete(self, name: str) -> int:
        return await self._propose(commands.DeleteVolume(name=name))

    async def do_deploy(self, name: str, replicas: int, padding_bytes: int = 64) -> int:
        spec = AppSpec(name=name, image="busybox", replicas=replicas, env={"WHAT": "x" * padding_bytes})
        return await self._propose(commands.DeployApp(spec=spec))

    async def do_names(self) -> list[str]:
        await self._barrier()
        return sorted(self.machine.state.volumes)

    async def do_local(self) -> dict[str, Any]:
        """Without any barrier: what this replica has."""
        state = self.machine.state
        values = {key: node.labels.get("value") for key, node in state.nodes.items()}
        return {"index": self.machine.index, "names": sorted(state.volumes), "values": values}

    async def do_status(self) -> dict[str, Any]:
        raft, usage, lag = self.raft, resource.getrusage(resource.RUSAGE_SELF), self.lag.report()
        return {
            "leader": raft.leader_id,
            "is_leader": raft.is_leader,
            "term": raft.term,
            "role": raft.role,
            "voters": list(raft.voters),
            "commit": raft.commit_index,
            "applied": raft.applied_index,
            "fault": self.machine.fault,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss_kb": _resident_kb(),
            "peak_rss_kb": usage.ru_maxrss,
            "lag_s": lag.longest_s,
            "lag_cpu_s": lag.longest_cpu_s,
            "lag_task": f"{lag.longest_task}/{lag.longest_cpu_task}",
            "time_s": time.time(),
        }

    async def do_reset_lag(self) -> None:
        self.lag.__init__()  # type: ignore[misc]
        self.lag.begin()

    async def do_snapshot(self) -> None:
        core = self.raft._core
        assert core is not None
        core.compact_now()

    async def do_snapshot_done(self) -> bool:
        core = self.raft._core
        return core is not None and not core._making

    async def do_caught_up(self, name: str) -> bool:
        return self.raft.caught_up(name)

    async def do_add_voter(self, name: str) -> None:
        await self.raft.add_voter(name, timeout_s=_TIMEOUT_S)

    async def do_remove_voter(self, name: str) -> None:
        await self.raft.remove_voter(name, timeout_s=_TIMEOUT_S)

    async def do_transfer(self) -> None:
        await self.raft.transfer_leadership(timeout_s=2)

    async def _propose(self, command: commands.AnyCommand) -> int:
        committed = await self.proposer.propose(command, timeout_s=_TIMEOUT_S)
        if isinstance(committed.outcome, Refusal):
            raise _Conflict(committed.outcome.message)
        return committed.index

    async def _barrier(self) -> None:
        with trio.fail_after(_TIMEOUT_S):
            if self.raft.is_leader:
                index = await self.raft.read_barrier(timeout_s=_TIMEOUT_S)
            else:
                leader_id = self.raft.leader_id
                if leader_id is None:
                    raise Unavailable("no leader")
                index = await self.channel.call(leader_id, _BARRIER, None, timeout_s=_TIMEOUT_S)
            await self.raft.wait_applied(index)

    async def _serve_barrier(self, peer: str, body: object) -> int:
        return await self.raft.read_barrier(timeout_s=_TIMEOUT_S)


class _Conflict(RaftError):
    """The state machine refused: an answer like any other, told apart from what the log refuses by its name."""


def _with(settings: RaftConfig, name: str, value: Any) -> RaftConfig:
    return RaftConfig(**({f: getattr(settings, f) for f in settings.__struct_fields__} | {name: value}))


def _resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def main() -> None:
    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.dev.ConsoleRenderer(colors=False)],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    node = LogNode(json.loads(Path(sys.argv[1]).read_text()))
    if profile := node.config.get("profile"):
        _profiled(node, profile)
    else:
        trio.run(node.run, instruments=[node.lag])


def _profiled(node: LogNode, path: str) -> None:
    """Writes a cProfile at SIGTERM."""
    import cProfile
    import signal

    profile = cProfile.Profile()

    async def until_terminated() -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break

    profile.enable()
    try:
        trio.run(until_terminated)
    finally:
        profile.disable()
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
