"""The members and their addresses as this node last knew them, kept on disk.

When all nodes start again at once, nobody gossips yet, and the log does not tell where the voters are before one of
them leads: what is committed is known only from a leader. This file is how they find each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog
import trio

from consensus import durable
from consensus.machine import Machine

log = structlog.get_logger()

FILE = "known-peers.msgpack"
KnownPeer = tuple[str, str, int]
"""Node id, address, peer port."""

_decoder: msgspec.msgpack.Decoder[list[KnownPeer]] = msgspec.msgpack.Decoder(list[KnownPeer])


def load(data_dir: Path) -> list[KnownPeer]:
    """Empty where nothing was kept, or it cannot be read: it is only a hint of where to look."""
    try:
        return _decoder.decode((data_dir / FILE).read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        log.warning("known_peers_unreadable", reason=str(error))
        return []


class PeerKeeper:
    """Keeps the file in step with the replica.

    Args:
        told: what a joiner was told; kept until the replica knows better.
    """

    def __init__(self, data_dir: Path, machine: Machine, told: Iterable[KnownPeer]) -> None:
        self._path = data_dir / FILE
        self._machine = machine
        self._told = list(told)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. What cannot be written is logged, and written with the next change."""
        await self._keep(self._told)
        task_status.started()
        kept = self._told
        nodes = None
        while True:
            index = self._machine.watch.index
            if self._machine.state.nodes is not nodes:
                nodes = self._machine.state.nodes
                peers = sorted((node.id, node.facts.address, node.facts.peer_port) for node in nodes.values())
                if peers and peers != kept:
                    await self._keep(peers)
                    kept = peers
            await self._machine.watch.changed(index)

    async def _keep(self, peers: list[KnownPeer]) -> None:
        if not peers:
            return
        try:
            await trio.to_thread.run_sync(durable.write, self._path, msgspec.msgpack.encode(peers))
        except OSError as error:
            log.warning("known_peers_not_kept", reason=str(error))
