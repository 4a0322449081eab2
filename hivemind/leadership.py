"""What the orchestrator stands on: this node's Raft, gossip and peer channel (hivemind/orchestrator/deps.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
import trio

from consensus.raft import RaftNode
from hivemind import gossip_meta
from hivemind.gossip_meta import Intent
from hivemind.orchestrator.members import MemberState, MemberView
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from hivemind.peer.channel import PeerChannel
from membership import Membership, VitalsChanged
from runtime.engine.base import CpuTime
from runtime.gateway import ContainerGateway, GatewayError
from runtime.vitals import unpack

log = structlog.get_logger()

PING_SERVICE = "ping"
PING_TIMEOUT_S = 1.0


class LeaderRaft:
    """Implements RaftView over a RaftNode."""

    def __init__(self, raft: RaftNode) -> None:
        self._raft = raft

    @property
    def voters(self) -> tuple[str, ...]:
        return self._raft.voters

    async def leads(self) -> int:
        seen = self._raft.leadership
        while not seen.is_leader:
            seen = await self._raft.wait_leadership(seen)
        return seen.term

    async def deposed(self, term: int) -> None:
        seen = self._raft.leadership
        while seen.is_leader and seen.term == term:
            seen = await self._raft.wait_leadership(seen)

    async def read_barrier(self, *, timeout_s: float) -> int:
        return await self._raft.read_barrier(timeout_s=timeout_s)

    async def wait_applied(self, index: int) -> None:
        await self._raft.wait_applied(index)

    def caught_up(self, node_id: str) -> bool:
        return self._raft.caught_up(node_id)

    async def add_voter(self, node_id: str, *, timeout_s: float) -> None:
        await self._raft.add_voter(node_id, timeout_s=timeout_s)

    async def remove_voter(self, node_id: str, *, timeout_s: float) -> None:
        await self._raft.remove_voter(node_id, timeout_s=timeout_s)

    async def transfer_leadership(self, heir: str, *, timeout_s: float) -> None:
        await self._raft.transfer_leadership(heir, timeout_s=timeout_s)


class GossipMembers:
    """Implements MemberSource over Membership. `run` it, or nobody learns of changes."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._news = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self._membership.changes() as changes:
            task_status.started()
            async for change in changes:
                # Vitals come all the time and judge nobody.
                if not isinstance(change, VitalsChanged):
                    self._news.set()
                    self._news = trio.Event()

    def views(self) -> Mapping[str, MemberView]:
        views = {}
        for name, member in self._membership.members.items():
            meta = gossip_meta.unpack(member.meta)
            views[name] = MemberView(
                node_id=name,
                state=MemberState(member.state.word),
                boot_id="" if meta is None else meta.boot_id,
                restarting=meta is not None and meta.intent is Intent.RESTARTING,
            )
        return views

    def surroundings(self) -> Surroundings:
        return surroundings_of(self._membership)

    async def changed(self) -> None:
        await self._news.wait()


def surroundings_of(membership: Membership) -> Surroundings:
    """What this node's gossip knows of how busy the members are, and where."""
    busy = {}
    for name, packed in membership.vitals.items():
        vitals = unpack(packed)
        if vitals is not None:
            percent = max(vitals.cpu_percent, vitals.memory_percent)
            # In tenths: nodes whose measures differ by less are alike.
            busy[name] = min(1.0, round(percent / 10) / 10)
    return Surroundings(busy=busy, places=membership.coordinates())


class CpuCounters:
    """Reads the CPU counters of tasks where they run (`Deps.cpu_times`)."""

    def __init__(self, gateway: ContainerGateway) -> None:
        self._gateway = gateway

    async def __call__(self, node_id: str, task_ids: Sequence[str]) -> Mapping[str, CpuTime]:
        try:
            return await self._gateway.cpu_times(node_id, task_ids)
        except GatewayError as error:
            log.info("cpu_not_measured", node=node_id, reason=str(error))
            return {}


class Ping:
    """Asks a node over the peer channel whether it is there. Raises PeerError."""

    def __init__(self, channel: PeerChannel) -> None:
        self._channel = channel

    async def __call__(self, node_id: str) -> None:
        await self._channel.call(node_id, PING_SERVICE, None, timeout_s=PING_TIMEOUT_S)

    async def serve(self, peer: str, body: object) -> None:
        """The other side; registered as `PING_SERVICE`."""
        await trio.lowlevel.checkpoint()
