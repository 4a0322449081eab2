"""Whether this node's state is what the others have. One that differs says so, stops serving, and takes another's.

Every hundred entries or so each machine keeps its fingerprint (consensus/machine.py). The leader asks every node that
is there for the newest one; which is right, most voters say, and in a tie the leader. A node that differs answers 503
until it has installed the state of a node that does not: on its disk first, then in memory, and its log goes on from
there. A leader that differs hands over first. So does a node whose rows are not those that its own entries made, which
every snapshot that it writes tells (consensus/snapshot.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio
from msgspec import Struct

from consensus.machine import Machine
from consensus.raft import RaftError, RaftNode
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError, PeerRefusal
from hivemind.peer.stream import PeerStream

log = structlog.get_logger()

CHECKPOINT_SERVICE = "state.checkpoint"
DOUBT_SERVICE = "state.doubt"
STATE_SERVICE = "state.take"
PERIOD_S = 10.0
LOCAL_PERIOD_S = 1.0
_ANSWER_TIMEOUT_S = 5.0
_TRANSFER_TIMEOUT_S = 2.0
_RETRY_S = 1.0
_CHUNK_BYTES = 256 * 1024


class _Doubt(Struct, frozen=True):
    """`source` has the state that is right, as far as the leader can tell; None: anybody else may have it."""

    index: int
    source: str | None


class _Wanted(Struct, frozen=True):
    at_least: int


def differing(chains: Mapping[str, bytes], voters: Sequence[str], leader_id: str) -> dict[str, str]:
    """Who does not have what most voters have, and for each a node that has it. `chains` holds the leader's own."""
    votes = Counter(chains[voter] for voter in voters if voter in chains)
    most = max(votes.values(), default=0)
    right = chains[leader_id]
    if votes[right] < most:
        right = min(chain for chain, count in votes.items() if count == most)
    sources = sorted((node for node, chain in chains.items() if chain == right), key=lambda node: node not in voters)
    return {node: sources[0] for node, chain in chains.items() if chain != right}


class StateCheck:
    """
    Args:
        members: the ids of the nodes that are there now.
        folder: where a state that is under way is kept.
    """

    def __init__(
        self,
        machine: Machine,
        raft: RaftNode,
        channel: PeerChannel,
        *,
        members: Callable[[], Iterable[str]],
        folder: Path,
        period_s: float = PERIOD_S,
    ) -> None:
        self._machine = machine
        self._raft = raft
        self._channel = channel
        self._members = members
        self._folder = folder
        self._period_s = period_s
        self._checked = 0
        self._doubt: _Doubt | None = None
        self._doubted = trio.Event()

    @property
    def unfit(self) -> str | None:
        """Why nobody should believe this node's replica now."""
        if self._doubt is None:
            return None
        return (
            f"the state of node {self._raft.node_id} at index {self._doubt.index} differs from that of the others;"
            " it is being replaced"
        )

    def doubt(self, reason: str) -> None:
        """What this node found out about itself."""
        log.critical("state_damaged", node=self._raft.node_id, reason=reason)
        self._begin(_Doubt(self._machine.index, None))

    def _begin(self, doubt: _Doubt) -> None:
        if self._doubt is None:
            self._doubt = doubt
            self._doubted.set()

    async def run(self) -> None:
        """Compares while this node leads, and mends this node when it differs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._mend)
            while True:
                await trio.sleep(self._period_s)
                if self._raft.is_leader and self._doubt is None:
                    await self._compare()

    async def _compare(self) -> None:
        index = max(self._machine.checkpoints, default=0)
        if index <= self._checked:
            return
        own = self._machine.checkpoints[index]
        chains: dict[str, bytes] = {}
        async with trio.open_nursery() as nursery:
            for node_id in set(self._members()) - {self._raft.node_id}:
                nursery.start_soon(self._ask, node_id, index, chains)
        chains[self._raft.node_id] = own
        self._checked = index
        for node_id, source in differing(chains, self._raft.voters, self._raft.node_id).items():
            log.critical("state_differs", node=node_id, index=index, source=source)
            if node_id == self._raft.node_id:
                self._begin(_Doubt(index, source))
            else:
                await self._tell(node_id, _Doubt(index, source))

    async def _ask(self, node_id: str, index: int, chains: dict[str, bytes]) -> None:
        try:
            chain = await self._channel.call(node_id, CHECKPOINT_SERVICE, index, timeout_s=_ANSWER_TIMEOUT_S)
        except PeerError as error:
            log.debug("checkpoint_not_answered", node=node_id, reason=str(error))
            return
        if isinstance(chain, bytes):
            chains[node_id] = chain

    async def _tell(self, node_id: str, doubt: _Doubt) -> None:
        try:
            body = msgspec.to_builtins(doubt)
            await self._channel.call(node_id, DOUBT_SERVICE, body, timeout_s=_ANSWER_TIMEOUT_S)
        except PeerError as error:
            log.warning("doubt_not_told", node=node_id, reason=str(error))

    async def serve_checkpoint(self, peer: str, body: Any) -> bytes | None:
        """This node's fingerprint as of an index, when it has applied that; None: it has none of it (any more)."""
        if not isinstance(body, int):
            raise PeerRefusal("invalid", "expected an index")
        with trio.move_on_after(_ANSWER_TIMEOUT_S):
            await self._machine.watch.reached(body)
        # One that is about to be replaced must not be heard against the others.
        return None if self._doubt is not None else self._machine.checkpoints.get(body)

    async def serve_doubt(self, peer: str, body: Any) -> None:
        """The leader's word that this node differs."""
        await trio.lowlevel.checkpoint()
        doubt = msgspec.convert(body, _Doubt)
        log.critical("state_differs", node=self._raft.node_id, index=doubt.index, told_by=peer, source=doubt.source)
        self._begin(doubt)

    async def serve_state(self, peer: str, request: Any, stream: PeerStream) -> None:
        """This node's state as of an index that is asked for or later, as a snapshot file."""
        wanted = msgspec.convert(request, _Wanted)
        if self._doubt is not None:
            raise PeerRefusal("unavailable", "this node's own state is in doubt")
        with trio.move_on_after(_ANSWER_TIMEOUT_S) as scope:
            await self._raft.wait_applied(wanted.at_least)
        if scope.cancelled_caught:
            raise PeerRefusal("unavailable", f"this node has not applied entry {wanted.at_least} yet")
        path = self._folder / f"state.for-{peer}"
        try:
            await self._raft.export_state(path)
            async with await trio.open_file(path, "rb") as file:
                while data := await file.read(_CHUNK_BYTES):
                    await stream.send(data)
        finally:
            path.unlink(missing_ok=True)

    async def _mend(self) -> None:
        while True:
            await self._doubted.wait()
            attempt = 0
            while self._doubt is not None:
                for source in self._sources(self._doubt):
                    if await self._mended_by(source):
                        break
                else:
                    attempt += 1
                    log.error("state_not_replaced", attempt=attempt, reason="no other node could give its state")
                    await trio.sleep(_RETRY_S)
            self._doubted = trio.Event()

    def _sources(self, doubt: _Doubt) -> list[str]:
        first = [doubt.source, self._raft.leader_id, *self._raft.voters]
        own = self._raft.node_id
        return list(dict.fromkeys(node for node in first if node is not None and node != own))

    async def _mended_by(self, source: str) -> bool:
        try:
            if self._raft.is_leader:
                await self._raft.transfer_leadership(timeout_s=_TRANSFER_TIMEOUT_S)

            async def receive(at_least: int, path: Path) -> None:
                request = {"at_least": at_least}
                async with (
                    self._channel.open_stream(source, STATE_SERVICE, request) as stream,
                    await trio.open_file(path, "wb") as file,
                ):
                    while data := await stream.receive():
                        await file.write(data)

            index = await self._raft.replace_state(receive)
        except (RaftError, PeerError, OSError, ValueError) as error:
            log.warning("state_not_taken", source=source, reason=str(error))
            return False
        self._doubt = None
        log.warning("state_replaced", node=self._raft.node_id, index=index, source=source)
        return True
