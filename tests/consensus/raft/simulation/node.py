"""One core with its disk and links, driven by the world's events."""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any

import msgpack

from consensus.raft.core import Core
from consensus.raft.durability import Durability
from consensus.raft.journal import Flush
from consensus.raft.transport import transport_over
from consensus.raft.voter_set import Identity
from tests.consensus.raft.simulation.memory import Disk
from tests.consensus.raft.simulation.properties import Properties, must

if TYPE_CHECKING:
    from tests.consensus.raft.simulation.world import World


@types.coroutine
def _later() -> Generator[None, None, None]:
    yield


class _Lock:
    """Of a coroutine that nothing but `SimulatedNode._go_on` drives."""

    def __init__(self) -> None:
        self._held = False

    async def __aenter__(self) -> None:
        while self._held:
            await _later()
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        self._held = False


class _Digest:
    """The state machine: a checksum of all that was applied."""

    def __init__(self, properties: Properties, name: str) -> None:
        self._properties, self._name = properties, name
        self._state = [1, 0]

    def apply(self, index: int, entry: bytes) -> int:
        must(index > self._state[0], f"{self._name} applied {index} after {self._state[0]}")
        self._state = [index, self._properties.applied(self._name, index, entry, self._state[1])]
        return index

    def image(self) -> Callable[[], list[bytes]]:
        state = list(self._state)
        return lambda: [msgpack.packb(state), b"." * 100]

    def load(self, data: memoryview) -> Callable[[], Iterable[object]]:
        unpacker = msgpack.Unpacker()
        unpacker.feed(bytes(data))
        index, digest = unpacker.unpack()
        must(self._properties.digests[index] == digest, f"{self._name} loads a snapshot that differs at {index}")

        def put_in_place() -> Iterable[object]:
            self._state = [index, digest]
            return ()

        return put_in_place


class SimulatedNode:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.disk = Disk(name, world.first_voters)
        self.run = 0
        self.up = False
        self.full = False
        self.looked_at = 1

    def start(self) -> None:
        world = self.world
        self.run, self.up, self.full, self.looked_at = self.run + 1, True, False, 1
        self.linked: set[str] = set()
        self.flush: Flush | None = None
        journal, voters, snapshots = self.disk.open()
        self.machine = _Digest(world.properties, self.name)
        if self.disk.snapshot is not None:
            state = msgpack.unpackb(self.disk.snapshot)[3]
            self.machine.load(memoryview(state))()
        self.durability = Durability(journal)
        header = snapshots.header
        applied = journal.first.index if header is None else header.index
        identity = self.disk.identity
        self.core = Core(
            node_id=self.name,
            config=world.config,
            journal=journal,
            voters=voters,
            machine=self.machine,
            snapshots=snapshots,
            durability=self.durability,
            transport=transport_over(self),
            rng=random.Random(world.rng.random()),
            clock=lambda: world.now_s,
            applied_index=applied,
            committed_voters=(applied, header.voters) if header else (identity.index, identity.voters),
        )
        self.core.snapshot_lock = _Lock()  # type: ignore[assignment]
        self.core.in_thread = self._in_thread
        self.core.start_soon = self._start_soon
        self._watch_journal()
        self.core.transport.start()
        self.core.transport.hint(set(world.nodes))
        for other in world.nodes.values():
            other.peer_started(self.name)
        world.tick(self, self.run)

    def _watch_journal(self) -> None:
        journal, properties = self.core.journal, self.world.properties
        add, cut = journal.added, journal.cut

        def added(entry: Any) -> None:
            properties.added(self.name, journal[-2], entry)
            add(entry)

        def was_cut(last_index: int) -> None:
            if last_index:
                properties.cut(self, last_index)
            cut(last_index)

        journal.added, journal.cut = added, was_cut

    def crash(self) -> None:
        self.up = False
        if self.flush is not None:
            self.disk.tear(self.flush, self.world.rng)
        # The committed voters that a node keeps beside its log may be old after a crash.
        if self.world.rng.random() < 0.5:
            self.disk.identity = Identity(self.name, self.core.committed_voters, self.core.committed_voters_index)
        for other in self.world.nodes.values():
            other.peer_crashed(self.name)

    def begin_flush(self) -> None:
        if self.flush is None and self.core.journal.dirty:
            flush = self.flush = self.core.journal.begin_flush()
            slow = self.world.rng.random() < 0.02
            self.world.after(self.world.rng.uniform(0.001, 1.5 if slow else 0.1), lambda: self.end_flush(flush))

    def end_flush(self, flush: Flush) -> None:
        if not self.up or self.flush is not flush:
            return
        if self.full:
            self.core.set_storage_full(True)
            self.world.after(0.5, lambda: self.end_flush(flush))
            return
        self.core.set_storage_full(False)
        flush.run()
        self.core.journal.flushed(flush)
        self.flush = None
        self.durability._release()
        self.world.step(self)

    # Work in threads.

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        await _later()
        if self.full:
            raise OSError(28, "no room")
        return work(*arguments)

    def _start_soon(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        self._go_on(work(*arguments), self.run)

    def _go_on(self, coroutine: Coroutine[Any, Any, None], run: int) -> None:
        if not self.up or self.run != run:
            coroutine.close()
            return
        try:
            coroutine.send(None)
        except StopIteration:
            self.world.step(self)
        else:
            self.world.after(self.world.rng.uniform(0.001, 0.5), lambda: self._go_on(coroutine, run))

    # RaftLinks.

    def connect(self, node_id: str) -> None:
        run = self.run
        self.linked.add(node_id)
        self.world.after(0.02, lambda: self.link(node_id, run))

    def link(self, node_id: str, run: int) -> None:
        if self.up and self.run == run and node_id in self.linked and self.world.nodes[node_id].up:
            self.core.transport.link_up(node_id)

    def disconnect(self, node_id: str) -> None:
        self.linked.discard(node_id)

    def listen(self, receiver: Any) -> None: ...

    def peer_started(self, name: str) -> None:
        if self.up and name in self.linked:
            run = self.run
            self.world.after(self.world.rng.uniform(0, 0.5), lambda: self.link(name, run))

    def peer_crashed(self, name: str) -> None:
        if self.up and name in self.linked:
            self.core.transport.link_down(name)

    def send(self, node_id: str, body: Any) -> bool:
        if node_id not in self.linked:
            return False
        world = self.world
        if body["type"] == "response_vote":
            world.properties.voted(self.name, body["term"], node_id)
        elif body["type"] == "request_vote":
            world.properties.voted(self.name, body["term"], self.name)
        copies = 0 if world.rng.random() < world.loss else 1 + (world.rng.random() < 0.03)
        packed = msgpack.packb(body)
        for _ in range(copies):
            world.after(world.rng.expovariate(1 / world.delay_s), lambda: world.deliver(self.name, node_id, packed))
        return True
