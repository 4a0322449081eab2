"""The daemon: every part of a node, made and connected. The only composition root.

    peer channel ─┬─ raft ── machine ── proposer ─┬─ api
    gossip ───────┘                               ├─ agent ── engine
                                                  ├─ mesh
                                                  └─ orchestrator (acts where this node leads)

`Daemon` makes what needs no gossip, `Parts` (parts.py) what does; `Daemon.run` starts them in order and stops them
in order.
"""

from __future__ import annotations

import errno
import gc
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog
import trio

from api.auth.passwords import Argon2Hasher
from consensus.errors import Unavailable
from consensus.machine import Machine
from consensus.model.cluster import Cluster
from consensus.model.node import NodeFacts
from consensus.proposer import ClusterProposer
from consensus.raft import RaftConfig, RaftNode
from hivemind import gossip_meta, known_peers, leaving
from hivemind.addresses import AddressBook
from hivemind.config import DaemonConfig
from hivemind.forwarding import Forwarding
from hivemind.gossip_meta import GossipMeta, Intent
from hivemind.identity_keeper import IdentityKeeper
from hivemind.known_peers import PeerKeeper
from hivemind.observability.loop_lag import LoopLag
from hivemind.parts import Parts
from hivemind.peer.channel import PeerChannel
from hivemind.peer.identity import Identity
from hivemind.renewal import Renewal
from hivemind.startup import first_steps
from hivemind.startup.first_steps import Found, Learn, Restored
from hivemind.startup.obtain import StartupError
from hivemind.token_keys import TokenKeyRotation
from membership import PRESETS, FileIncarnationStore, Keyring, Membership, UdpTransport
from runtime import labels
from runtime.engine.base import Engine

log = structlog.get_logger()

CLEAN_UP_TIMEOUT_S = 30.0


class _Exchange:
    """Membership's stream exchange over the peer channel."""

    def __init__(self, channel: PeerChannel) -> None:
        self._channel = channel

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        answer = await self._channel.call(name, f"swim.{kind}", payload, timeout_s=timeout_s)
        if not isinstance(answer, bytes):
            raise ValueError(f"{name} answered {kind} with {type(answer).__name__}")
        return answer


class Daemon:
    """One node. `run` returns when it has stopped in good order."""

    def __init__(
        self,
        config: DaemonConfig,
        identity: Identity,
        facts: NodeFacts,
        *,
        engine: Engine,
        passwords: Argon2Hasher,
        lag: LoopLag,
    ) -> None:
        self.config = config
        self.identity = identity
        self.facts = facts
        self.node_id = identity.node_id
        self.boot_id = secrets.token_hex(6)
        self.engine = engine
        self.passwords = passwords
        self.lag = lag
        self.rng = random.SystemRandom()
        self.steps = first_steps.load(config.data_dir)
        self.machine = Machine()
        told = self.steps.peers if isinstance(self.steps, Learn) else known_peers.load(config.data_dir)
        self.addresses = AddressBook(self.machine, told)
        self.known_peers = PeerKeeper(config.data_dir, self.machine, told)
        self.channel = PeerChannel(
            identity, bind=(config.bind, config.peer_port), resolve=self.addresses.resolve, rng=self.rng
        )
        self.raft = RaftNode(
            node_id=self.node_id,
            data_dir=config.data_dir / "raft",
            links=self.channel,
            machine=self.machine,
            config=RaftConfig.local() if config.preset == "local" else RaftConfig(),
            rng=self.rng,
        )
        self.keeper = IdentityKeeper(identity, config.data_dir)
        self.renewal = Renewal(self.keeper, self.machine, self.channel)
        self.forwarding = Forwarding(self.raft, self.channel)
        session = f"{self.node_id}-{self.boot_id}"
        self.proposer = ClusterProposer(
            self.machine, self.forwarding.submit, session=session, leader_wait_s=config.leader_wait_s
        )
        self.leader_proposer = ClusterProposer(
            self.machine, self.forwarding.submit_here, session=f"{session}-leader", leader_wait_s=0.5
        )
        self.token_key_rotation = TokenKeyRotation(
            self.machine,
            self.proposer,
            leads=lambda: self.raft.is_leader,
            member_key=identity.member_key,
            lifetime_s=config.token_key_lifetime_s,
        )

    def meta(self, intent: Intent) -> bytes:
        """What gossip says of this daemon."""
        return gossip_meta.pack(
            GossipMeta(boot_id=self.boot_id, intent=intent, api_port=self.config.api_port, version=self.facts.version)
        )

    def cluster(self) -> Cluster:
        """Raises Unavailable while this node's replica does not know it yet."""
        cluster = self.machine.state.cluster
        if cluster is None:
            raise Unavailable("this node has not caught up with its cluster yet")
        return cluster

    async def run(self, stop: trio.Event) -> None:
        """Until `stop`, or until this node has left the cluster.

        Raises:
            StartupError, StorageError, OSError: it cannot start, or cannot go on.
        """
        async with self._gossip() as membership:
            self.addresses.use_members(membership.members)
            parts = Parts(self, membership)
            async with trio.open_nursery() as nursery:
                await self._start(parts, nursery)
                left = trio.Event()
                nursery.start_soon(self._leave_when_asked, parts, left)
                await _first_of(stop, left)
                await self._stop(parts, left=left.is_set())
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _gossip(self) -> AsyncIterator[Membership]:
        folder = self.config.data_dir / "membership"
        folder.mkdir(mode=0o700, exist_ok=True)
        with _listening("gossip, --peer-port", self.config.bind, self.config.peer_port):
            transport = await UdpTransport.bind((self.config.bind, self.config.peer_port))
        async with transport as packets:
            yield Membership(
                PRESETS[self.config.preset](),
                name=self.node_id,
                address=(self.config.advertise, self.config.peer_port),
                meta=self.meta(Intent.NONE),
                keyring=Keyring.deserialise(self.identity.keyring),
                packets=packets,
                exchange=_Exchange(self.channel),
                incarnations=FileIncarnationStore(folder / "incarnation"),
                rng=self.rng,
                save_keyring=self.keeper.save_keyring,
            )

    async def _start(self, parts: Parts, nursery: trio.Nursery) -> None:
        await nursery.start(self.known_peers.run)
        with _listening("peer channel, --peer-port", self.config.bind, self.config.peer_port):
            await nursery.start(self.channel.run)
        await nursery.start(parts.membership.run)
        await self._start_raft(nursery)
        nursery.start_soon(self._watch_fault)
        nursery.start_soon(self._watch_removal, parts)
        nursery.start_soon(parts.state_check.run)
        await nursery.start(parts.members.run)
        nursery.start_soon(parts.presence.meet_peers, parts.membership, self.addresses)
        nursery.start_soon(
            parts.presence.announce_start,
            self.steps,
            partial(first_steps.done, self.config.data_dir),
        )
        await parts.start_overlay(nursery)
        await nursery.start(parts.agent.run)
        await nursery.start(parts.mesh.run)
        nursery.start_soon(parts.port_reporter.run)
        await nursery.start(parts.orchestrator.run)
        nursery.start_soon(parts.vitals.run)
        nursery.start_soon(parts.backup_keeper.run)
        nursery.start_soon(self.renewal.run)
        nursery.start_soon(self.token_key_rotation.run)
        await parts.api.prepare(nursery)
        with _listening("API, --api-port", self.config.bind, self.config.api_port):
            await nursery.start(parts.api.run)
        # What is here now stays for good; walking over it again and again would hold the loop.
        gc.collect()
        gc.freeze()
        # What the log adds is long-lived, too: at 11,000 apps a full collection held the loop for 200 ms, and began
        # again with every quarter more. Garbage in cycles dies young here; the two younger generations find it. Those
        # are small: with 5,000 objects one of them took up to 90 ms while 10,000 tasks came, with 1,000 up to 17 ms,
        # and both the same in all.
        gc.set_threshold(1_000, 2, 50_000)
        self.lag.begin()

    async def _start_raft(self, nursery: trio.Nursery) -> None:
        if not self.raft.has_state:
            match self.steps:
                case Found():
                    self.raft.found()
                case Learn(voters=voters):
                    self.raft.learn(voters)
                case Restored() | None:
                    raise StartupError(
                        f"{self.config.data_dir} has an identity but no Raft log: restore it from a backup,"
                        " or remove this node from the cluster, empty the directory and join again"
                    )
        await nursery.start(self.raft.run)

    async def _watch_fault(self) -> None:
        while self.machine.fault is None:
            await self.machine.watch.changed(self.machine.watch.index)
        raise StartupError(self.machine.fault)

    async def _watch_removal(self, parts: Parts) -> None:
        """Its containers go first, or they would run on beside those that took their place."""
        reason = await parts.removal.noticed()
        log.warning("removed_from_the_cluster", node=self.node_id)
        parts.agent.dismiss()
        await self._clean_up(parts)
        raise StartupError(reason)

    async def _leave_when_asked(self, parts: Parts, left: trio.Event) -> None:
        await parts.leaving.run()
        left.set()

    async def _stop(self, parts: Parts, *, left: bool) -> None:
        """Takes no more requests, finishes those in flight; a node that left also removes what is ours."""
        parts.api.shutdown.set()
        if left:
            await self._clean_up(parts)
        else:
            parts.membership.set_meta(self.meta(Intent.RESTARTING))
            await parts.presence.announce_restart()
        await parts.api.ended.wait()
        if left:
            await trio.to_thread.run_sync(leaving.forget_cluster, self.config.data_dir)

    async def _clean_up(self, parts: Parts) -> None:
        """Returns when nothing of ours runs on this machine any more."""
        with trio.move_on_after(CLEAN_UP_TIMEOUT_S):
            own = labels.own_labels(self.identity.cluster_id, self.node_id)
            await leaving.until_no_containers(self.engine, own)
            await parts.remove_overlay()


@contextmanager
def _listening(what: str, host: str, port: int) -> Iterator[None]:
    """The kernel's words do not say which address it was."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        reason = os.strerror(error.errno).lower()
        raise StartupError(f"cannot listen on {host}:{port} ({what}): {reason}") from error


async def _first_of(*events: trio.Event) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
