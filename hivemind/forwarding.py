"""Proposals on their way to the leader: the `Submit` of consensus.proposer, over the peer channel."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import trio
from msgspec import Struct

from consensus.entry import MAX_ENTRY_BYTES
from consensus.proposer import NotAccepted
from consensus.raft import Leadership, NotLeader, OutcomeUnknown, RaftError, RaftNode, StorageFull
from hivemind.peer.errors import PeerError, PeerRefusal

SERVICE = "raft.propose"
MAX_PIECES = 1024
NEWS_WAIT_S = 0.2
"""A planned change of leaders takes less; an unplanned one is waited for by the proposer."""


class _Calls(Protocol):
    async def call(self, node_id: str, service: str, body: Any, *, timeout_s: float) -> Any: ...


class _Request(Struct, frozen=True):
    pieces: list[bytes]
    timeout_s: float


class Forwarding:
    """One try to get an entry's pieces committed, at this node if it leads, else at the leader."""

    def __init__(self, raft: RaftNode, calls: _Calls) -> None:
        self._raft = raft
        self._calls = calls

    async def submit(self, pieces: list[bytes], timeout_s: float) -> None:
        """Returns when the pieces are committed. Tries anew as soon as somebody else leads than who refused them.

        Raises:
            NotAccepted: they were not, or perhaps not.
        """
        deadline_s = trio.current_time() + timeout_s
        while True:
            seen = self._raft.leadership
            try:
                await self._try(seen.leader_id, pieces, max(0.0, deadline_s - trio.current_time()))
            except NotAccepted as error:
                if error.ambiguous or not await self._news_after(seen, deadline_s):
                    raise
            else:
                return

    async def _try(self, leader_id: str | None, pieces: list[bytes], timeout_s: float) -> None:
        if leader_id in (None, self._raft.node_id):
            # Where nobody leads, this says also whether that is because this node's disk is full.
            await self._propose(pieces, timeout_s)
            return
        try:
            await self._calls.call(leader_id, SERVICE, {"pieces": pieces, "timeout_s": timeout_s}, timeout_s=timeout_s)
        except PeerRefusal as error:
            raise NotAccepted(error.message, ambiguous=error.code != "not_leader") from error
        except PeerError as error:
            raise NotAccepted(str(error), ambiguous=getattr(error, "ambiguous", True)) from error

    async def _news_after(self, seen: Leadership, deadline_s: float) -> bool:
        """Whether another leader, or none, is known within a moment."""
        with trio.move_on_at(min(deadline_s, trio.current_time() + NEWS_WAIT_S)):
            while self._raft.leadership.leader_id == seen.leader_id:
                await self._raft.wait_leadership(self._raft.leadership)
            return True
        return False

    async def submit_here(self, pieces: list[bytes], timeout_s: float) -> None:
        """As `submit`, but only while this node leads: for the orchestrator's plans, which die with its leadership."""
        await self._propose(pieces, timeout_s)

    async def serve(self, peer: str, body: Any) -> dict[str, Any]:
        """Answers the other nodes' submits; registered as `SERVICE`.

        Raises:
            PeerRefusal: ``not_leader`` (certainly not proposed) or ``unknown`` (perhaps it was).
        """
        try:
            asked = msgspec.convert(body, _Request)
        except msgspec.ValidationError as error:
            raise PeerRefusal("not_leader", f"not a proposal: {error}") from error
        if len(asked.pieces) > MAX_PIECES or any(len(piece) > MAX_ENTRY_BYTES for piece in asked.pieces):
            raise PeerRefusal("not_leader", f"a proposal has at most {MAX_PIECES} pieces of {MAX_ENTRY_BYTES} bytes")
        try:
            await self._propose(asked.pieces, asked.timeout_s)
        except NotAccepted as error:
            raise PeerRefusal("unknown" if error.ambiguous else "not_leader", str(error)) from error
        # It answers its client only when its own replica has applied this.
        self._raft.tell_commit(peer)
        return {}

    async def _propose(self, pieces: list[bytes], timeout_s: float) -> None:
        for number, piece in enumerate(pieces):
            try:
                await self._raft.propose(piece, timeout_s=timeout_s)
            except NotLeader as error:
                raise NotAccepted(str(error), ambiguous=number > 0) from error
            except OutcomeUnknown as error:
                raise NotAccepted(str(error), ambiguous=True) from error
            except StorageFull as error:
                raise NotAccepted(str(error), ambiguous=number > 0, storage_full=True) from error
            except RaftError as error:
                raise NotAccepted(str(error), ambiguous=False) from error
