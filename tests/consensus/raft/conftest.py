"""Several RaftNodes in one trio process: in-memory links with cut and heal, and a small state machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio

from consensus.raft import Leadership, LinkReceiver, RaftConfig, RaftNode
from consensus.raft.core import Core
from consensus.raft.durability import Durability
from consensus.raft.storage import create_storage, has_identity, open_storage
from consensus.raft.transport import transport_over


class Network:
    """Links between nodes of one process. Messages are packed and unpacked, as on a wire, and arrive a step later."""

    def __init__(self) -> None:
        self.ends: dict[str, Links] = {}
        self.cuts: set[tuple[str, str]] = set()
        self.drop: Callable[[str, str, Any], bool] = lambda source, target, body: False

    def links(self, node_id: str) -> Links:
        return Links(self, node_id)

    def works(self, source: str, target: str) -> bool:
        return source in self.ends and target in self.ends and (source, target) not in self.cuts

    def cut(self, *sides: set[str]) -> None:
        """Partition: nothing passes between the sides."""
        for side in sides:
            for other in sides:
                if side is not other:
                    self.cuts |= {(a, b) for a in side for b in other}
        self.refresh()

    def heal(self) -> None:
        self.cuts.clear()
        self.refresh()

    def refresh(self) -> None:
        for end in list(self.ends.values()):
            end.refresh()

    def deliver(self, source: str, target: str, packed: bytes) -> None:
        if self.works(source, target):
            self.ends[target].receiver.message(source, msgpack.unpackb(packed))


class Links:
    def __init__(self, network: Network, node_id: str) -> None:
        self.network = network
        self.node_id = node_id
        self.wanted: set[str] = set()
        self.working: set[str] = set()
        self.receiver: LinkReceiver

    def listen(self, receiver: LinkReceiver) -> None:
        self.receiver = receiver
        self.network.ends[self.node_id] = self
        self.network.refresh()

    def close(self) -> None:
        if self.network.ends.get(self.node_id) is self:
            del self.network.ends[self.node_id]
            self.network.refresh()

    def connect(self, node_id: str) -> None:
        self.wanted.add(node_id)
        trio.lowlevel.current_trio_token().run_sync_soon(self.refresh)

    def disconnect(self, node_id: str) -> None:
        self.wanted.discard(node_id)
        self.working.discard(node_id)

    def refresh(self) -> None:
        for peer in sorted(self.wanted):
            works = self.network.works(self.node_id, peer)
            if works and peer not in self.working:
                self.working.add(peer)
                self.receiver.up(peer)
            elif not works and peer in self.working:
                self.working.discard(peer)
                self.receiver.down(peer)

    def send(self, node_id: str, body: Any) -> bool:
        if node_id not in self.working:
            return False
        packed = msgpack.packb(body)
        if not self.network.drop(self.node_id, node_id, body):
            token = trio.lowlevel.current_trio_token()
            token.run_sync_soon(self.network.deliver, self.node_id, node_id, packed)
        return True


class Ledger:
    """State machine: keeps every entry in order, and answers with how many it has."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.last_index = 0
        self.restored = 0

    def apply(self, index: int, entry: bytes) -> Any:
        assert index > self.last_index
        self.last_index = index
        if entry == b"raise":
            raise RuntimeError("a state machine should not")
        self.entries.append(entry)
        return len(self.entries)

    def image(self) -> Callable[[], Iterable[bytes]]:
        entries, last_index = tuple(self.entries), self.last_index

        def pieces() -> Iterator[bytes]:
            packed = bytes(msgpack.packb([last_index, entries]))
            yield from (packed[at : at + 1000] for at in range(0, len(packed), 1000))

        return pieces

    def load(self, data: memoryview) -> Callable[[], Iterable[object]]:
        last_index, entries = msgpack.unpackb(data)

        def put_in_place() -> Iterable[object]:
            self.last_index, self.entries = last_index, entries
            self.restored += 1
            return ()

        return put_in_place


class Member:
    """One node with its task, that can be killed and started again."""

    def __init__(self, cluster: Cluster, node_id: str) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.scope: trio.CancelScope | None = None
        self.ended = trio.Event()

    async def start(self, prepare: Callable[[RaftNode], None] = lambda node: None) -> RaftNode:
        self.links = self.cluster.network.links(self.node_id)
        self.machine = Ledger()
        self.node = RaftNode(
            node_id=self.node_id,
            data_dir=self.cluster.path / self.node_id,
            links=self.links,
            machine=self.machine,
            config=self.cluster.config,
            rng=random.Random(f"{self.cluster.seed}-{self.node_id}"),
        )
        prepare(self.node)
        await self.cluster.nursery.start(self._run)
        return self.node

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        self.ended = trio.Event()
        with trio.CancelScope() as self.scope:
            try:
                await self.node.run(task_status=task_status)
            finally:
                self.links.close()
        self.ended.set()

    async def kill(self) -> None:
        assert self.scope is not None
        self.scope.cancel()
        await self.ended.wait()


class Cluster:
    def __init__(self, nursery: trio.Nursery, path: Path, config: RaftConfig, seed: int = 1) -> None:
        self.nursery = nursery
        self.path = path
        self.config = config
        self.seed = seed
        self.network = Network()
        self.members: dict[str, Member] = {}

    def __getitem__(self, node_id: str) -> Member:
        return self.members[node_id]

    async def found(self, node_id: str) -> RaftNode:
        self.members[node_id] = Member(self, node_id)
        return await self.members[node_id].start(lambda node: node.found())

    async def join(self, node_id: str, voters: list[str]) -> RaftNode:
        self.members[node_id] = Member(self, node_id)
        return await self.members[node_id].start(lambda node: node.learn(voters))

    async def leader(self, among: set[str] | None = None) -> RaftNode:
        """Wait for one leader that the others of `among` follow."""
        names = among or set(self.members)
        with trio.fail_after(15):
            while True:
                nodes = [self.members[name].node for name in names]
                leaders = [node for node in nodes if node.is_leader]
                if len(leaders) == 1 and all(node.leader_id == leaders[0].node_id for node in nodes):
                    return leaders[0]
                await trio.sleep(0.01)

    async def grow(self, *names: str) -> None:
        """Found a cluster of these voters."""
        await self.found(names[0])
        for name in names[1:]:
            leader = await self.leader()
            await self.join(name, [names[0]])
            with trio.fail_after(10):
                await leader.wait_caught_up(name)
            await leader.add_voter(name, timeout_s=5)
        for name in names:
            await self.until(name, lambda seen: seen.role == "voter")

    async def until(self, name: str, is_met: Callable[[Leadership], bool], within_s: float = 10) -> None:
        """Wait until the node's view of the leadership is as wanted."""
        node = self.members[name].node
        with trio.fail_after(within_s):
            while not is_met(seen := node.leadership):
                await node.wait_leadership(seen)

    async def settle(self) -> None:
        """Wait until all members applied what the leader committed."""
        leader = await self.leader()
        index = await leader.read_barrier(timeout_s=5)
        with trio.fail_after(10):
            for member in self.members.values():
                await member.node.wait_applied(index)


@pytest.fixture
def config() -> RaftConfig:
    return RaftConfig.local()


@pytest.fixture
async def cluster(tmp_path: Path, config: RaftConfig, nursery: trio.Nursery) -> Cluster:
    return Cluster(nursery, tmp_path, config)


class ManualLinks:
    """Links that keep what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def connect(self, node_id: str) -> None:
        pass

    def disconnect(self, node_id: str) -> None:
        pass

    def listen(self, receiver: LinkReceiver) -> None:
        pass

    def send(self, node_id: str, body: Any) -> bool:
        self.sent.append((node_id, msgpack.unpackb(msgpack.packb(body))))
        return True


class Bench:
    """One core on real files, under a hand-set clock: ticks, flushes and messages happen when the test says so."""

    def __init__(self, data_dir: Path, node_id: str = "a", voters: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.now_s = 100.0
        self.data_dir, self.node_id = data_dir, node_id
        self.settings = RaftConfig()
        self.machine = Ledger()
        self.links = ManualLinks()
        if not has_identity(data_dir):
            create_storage(data_dir, node_id, voters)
        self.storage = open_storage(data_dir, node_id)
        self.durability = Durability(self.storage.journal)
        self.core = Core(
            node_id=node_id,
            config=self.settings,
            journal=self.storage.journal,
            voters=self.storage.voters,
            machine=self.machine,
            snapshots=self.storage.snapshots,
            durability=self.durability,
            transport=transport_over(self.links),
            rng=random.Random(node_id),
            clock=lambda: self.now_s,
            applied_index=self.storage.applied_index,
            committed_voters=self.storage.committed_voters,
        )
        self.core.transport.start()
        for voter in voters:
            if voter != node_id:
                self.core.transport.link_up(voter)

    def tick(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.core._onTick()

    def flush(self) -> None:
        """What `Durability.run` does in a worker thread."""
        flush = self.storage.journal.begin_flush()
        flush.run()
        self.storage.journal.flushed(flush)
        self.durability._release()

    def receive(self, source: str, kind: str, **fields: Any) -> None:
        """A message, with the sender's term as `from_term` unless told otherwise; handled at once."""
        body = {"type": kind, "from_term": fields.get("term", self.core.raftCurrentTerm)} | fields
        self.core.receive(source, msgpack.unpackb(msgpack.packb(body)))
        self.tick()

    def append(self, source: str, term: int, previous: tuple[int, int], entries: list[Any], commit: int = 0) -> None:
        index, previous_term = previous
        about = {"term": term, "commit_index": commit, "exchange": 7}
        self.receive(source, "append_entries", prevLogIdx=index, prevLogTerm=previous_term, entries=entries, **about)

    def take(self, kind: str) -> list[tuple[str, Any]]:
        """Messages of `kind` sent since the last call; forgets all others."""
        sent, self.links.sent = self.links.sent, []
        return [(target, body) for target, body in sent if body["type"] == kind]

    def lead(self) -> None:
        """Win an election."""
        self.tick(after_s=2.0)
        self.receive("b", "pre_vote_answer", term=self.core.raftCurrentTerm + 1, granted=True, current=0)
        self.flush()
        self.receive("b", "response_vote", term=self.core.raftCurrentTerm)
        assert self.core._isLeader()

    def log(self) -> list[tuple[int, int]]:
        return [(entry[1], entry[2]) for entry in self.storage.journal[:]]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "a")
    yield made
    made.storage.close()


@pytest.fixture
def sole_bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "a", voters=("a",))
    yield made
    made.storage.close()
