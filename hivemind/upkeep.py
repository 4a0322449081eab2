"""What is done to the cluster as a whole: the leadership is handed over, and the state copied to a file.

A backup is a snapshot file (consensus/raft/snapshot.py): one index, a checksum, and what is sealed stays sealed.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from api.upkeep import LeadershipKept
from consensus.errors import StorageFull, Unavailable
from consensus.raft import NotLeader, RaftError, RaftNode
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError, PeerRefusal

TRANSFER_SERVICE = "raft.transfer"
_TRANSFER_TIMEOUT_S = 3.0
_ELECTION_TIMEOUT_S = 3.0
_CALL_TIMEOUT_S = _TRANSFER_TIMEOUT_S + _ELECTION_TIMEOUT_S + 1.0
_CHUNK_BYTES = 64 * 1024


class Upkeep:
    """Implements the API's ClusterUpkeep. `folder` holds a backup while it is sent."""

    def __init__(self, raft: RaftNode, channel: PeerChannel, *, folder: Path) -> None:
        self._raft = raft
        self._channel = channel
        self._folder = folder

    async def transfer_leadership(self, to: str | None) -> str:
        """See ClusterUpkeep; done by the leader, wherever it is."""
        leader_id = self._raft.leader_id
        if leader_id is None:
            raise Unavailable("the cluster has no leader now")
        try:
            leader = await self._channel.call(leader_id, TRANSFER_SERVICE, to, timeout_s=_CALL_TIMEOUT_S)
        except PeerRefusal as error:
            if error.code == "conflict":
                raise LeadershipKept(error.message) from error
            raise Unavailable(error.message) from error
        except PeerError as error:
            raise Unavailable(str(error)) from error
        return str(leader)

    async def serve_transfer(self, peer: str, body: Any) -> str:
        """The leader's side; registered as `TRANSFER_SERVICE`."""
        own, voters = self._raft.node_id, self._raft.voters
        if body is not None and body == self._raft.leader_id:
            raise PeerRefusal("conflict", f"node {body} leads already")
        if body is not None and body not in voters:
            raise PeerRefusal("conflict", f"node {body} does not vote; expected one of {', '.join(voters)}")
        if voters == (own,):
            raise PeerRefusal("conflict", f"node {own} is the only voter: nobody else can lead")
        try:
            await self._raft.transfer_leadership(body, timeout_s=_TRANSFER_TIMEOUT_S)
        except NotLeader as error:
            raise PeerRefusal("unavailable", str(error)) from error
        except RaftError as error:
            raise PeerRefusal("unavailable", f"the leadership was not handed over: {error}") from error
        seen = self._raft.leadership
        with trio.move_on_after(_ELECTION_TIMEOUT_S):
            while seen.leader_id is None:
                seen = await self._raft.wait_leadership(seen)
            return seen.leader_id
        raise PeerRefusal("unavailable", "no new leader was elected yet")

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ClusterUpkeep; of what this node has applied."""
        path = trio.Path(self._folder / f"backup.{secrets.token_hex(4)}")
        try:
            try:
                await self._raft.export_state(Path(path))
                file = await path.open("rb")
            finally:
                await path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("there is no room on this node's disk to make the backup") from error
            raise Unavailable(f"the backup could not be made: {error}") from error
        except (RaftError, ValueError) as error:
            raise Unavailable(f"the backup could not be made: {error}") from error
        async with file:
            yield _Chunks(file)


class _Chunks(AsyncIterator[bytes]):
    def __init__(self, file: Any) -> None:
        self._file = file

    async def __anext__(self) -> bytes:
        if data := await self._file.read(_CHUNK_BYTES):
            return bytes(data)
        raise StopAsyncIteration
