"""This node's standing in the cluster, as the API and the orchestrator see it: Raft and gossip put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import trio

from api.deps import MemberView
from consensus.errors import Unavailable
from consensus.machine import Machine
from consensus.raft import RaftError, RaftNode
from hivemind.api_gateways import api_vitals
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError
from membership import Membership, MemberState

BARRIER_SERVICE = "raft.barrier"
BARRIER_TIMEOUT_S = 3.0
_CATCH_UP_PAUSE_S = 0.1


class Standing:
    """Implements the API's ClusterView."""

    def __init__(
        self,
        raft: RaftNode,
        membership: Membership,
        machine: Machine,
        channel: PeerChannel,
        *,
        unfit: Callable[[], str | None],
    ) -> None:
        self._unfit = unfit
        self._raft = raft
        self._membership = membership
        self._machine = machine
        self._channel = channel

    @property
    def node_id(self) -> str:
        return self._raft.node_id

    @property
    def leader_id(self) -> str | None:
        return self._raft.leader_id

    @property
    def term(self) -> int:
        return self._raft.term

    @property
    def last_leader_contact_s(self) -> float | None:
        contact_s = self._raft.last_leader_contact_s
        return None if contact_s == float("inf") else contact_s

    @property
    def unfit(self) -> str | None:
        return self._unfit()

    @property
    def voters(self) -> tuple[str, ...]:
        return self._raft.voters

    def members(self) -> Mapping[str, MemberView]:
        now_s, wall_s = trio.current_time(), time.time()
        views = {}
        for name, member in self._membership.members.items():
            alive = member.state is MemberState.ALIVE
            packed = self._membership.vitals.get(name)
            views[name] = MemberView(
                state=member.state.word,
                vitals=None if packed is None else api_vitals(packed),
                rtt_s=self._membership.rtt_s(name),
                last_seen_s=wall_s if alive else wall_s - (now_s - member.state_since_s),
            )
        return views

    async def read_barrier(self) -> None:
        """See ClusterView: the leader confirms itself by a round of heartbeats, then this replica catches up."""
        try:
            with trio.fail_after(BARRIER_TIMEOUT_S):
                if self._raft.is_leader:
                    index = await self._raft.read_barrier(timeout_s=BARRIER_TIMEOUT_S)
                else:
                    leader_id = self._raft.leader_id
                    if leader_id is None:
                        raise Unavailable("no leader can confirm a consistent read now")
                    index = await self._channel.call(leader_id, BARRIER_SERVICE, None, timeout_s=BARRIER_TIMEOUT_S)
                await self._raft.wait_applied(index)
        except trio.TooSlowError as error:
            raise Unavailable(f"no leader confirmed a consistent read within {BARRIER_TIMEOUT_S:g} s") from error
        except (RaftError, PeerError) as error:
            raise Unavailable(f"no leader confirmed a consistent read: {error}") from error

    def why_removed(self, node_id: str) -> str | None:
        """Why a node with a certificate of this cluster is no member; None where it is, or is not known yet."""
        if node_id not in self._machine.state.removed_nodes:
            return None
        return f"node {node_id} was removed from the cluster; empty its data-dir and join it again with a token"

    async def caught_up(self) -> None:
        """Returns when this replica was level with a leader's log once."""
        while True:
            try:
                await self.read_barrier()
            except Unavailable:
                await trio.sleep(_CATCH_UP_PAUSE_S)
            else:
                return

    async def voteless(self, node_id: str) -> None:
        """Returns when the node has no vote, as far as this node knows."""
        seen = self._raft.leadership
        while node_id in seen.voters:
            seen = await self._raft.wait_leadership(seen)

    async def serve_barrier(self, peer: str, body: object) -> int:
        """The leader's side; registered as `BARRIER_SERVICE`. A RaftError travels as an internal refusal."""
        return await self._raft.read_barrier(timeout_s=BARRIER_TIMEOUT_S)
