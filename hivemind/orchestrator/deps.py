"""What the orchestrator is handed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from consensus.machine import Machine
from consensus.proposer import Proposer
from hivemind.orchestrator.members import MemberSource
from hivemind.orchestrator.raft_view import RaftView
from runtime.engine.base import CpuTime

Ping = Callable[[str], Awaitable[None]]
"""Returns when the node with this id has answered over the peer channel; raises PeerError."""
CpuTimes = Callable[[str, Sequence[str]], Awaitable[Mapping[str, CpuTime]]]
"""The CPU counters of these tasks of a node; those that it cannot tell are left out."""


@dataclass(frozen=True, kw_only=True)
class Deps:
    """
    Attributes:
        self_id: this node's id.
        machine: this node's replica.
        proposer: submits to this node's Raft only, so that what an old leader planned dies with its leadership.
        wall_s: Unix time.
    """

    self_id: str
    machine: Machine
    proposer: Proposer
    raft: RaftView
    members: MemberSource
    ping: Ping
    cpu_times: CpuTimes
    wall_s: Callable[[], float] = time.time
