"""Proposing a command at any node.

The answer comes from this node's own replica: a proposal returns when the entry is applied here, so a client reads
its own writes at the node that it wrote to. Every try carries the same command id, so trying again is always safe.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio
from msgspec import Struct

from consensus.commands import AnyCommand
from consensus.entry import CommandId, Entry, encode
from consensus.errors import OutcomeUnknown, StorageFull, Unavailable
from consensus.features import level_of
from consensus.machine import Machine
from consensus.model.origin import Origin
from consensus.outcomes import AnyOutcome, beyond

MAX_OUTSTANDING = 1024
RETRY_PAUSE_S = 0.05


class Committed(Struct, frozen=True):
    """`outcome` may be a Refusal: that, too, is agreed, at log index `index`, but for one of what not all nodes know
    yet, which is not proposed."""

    index: int
    outcome: AnyOutcome


class Proposer(Protocol):
    """What the API, the orchestrator and the agent need of consensus to change something."""

    async def propose(self, command: AnyCommand, *, timeout_s: float = 10.0) -> Committed:
        """Returns when `command` is applied at this node.

        Raises:
            Unavailable: there was no leader; not applied.
            OutcomeUnknown: `timeout_s` passed after it was sent.
        """
        ...


class UserProposer(Protocol):
    """As Proposer, for commands that users ask for."""

    async def propose(
        self, command: AnyCommand, *, timeout_s: float = 10.0, origin: Origin | None = None
    ) -> Committed: ...


class NotAccepted(Exception):
    """A try did not get through. `ambiguous`: it may still be applied later."""

    def __init__(self, message: str, *, ambiguous: bool, storage_full: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        self.storage_full = storage_full


Submit = Callable[[list[bytes], float], Awaitable[None]]
"""Hands encoded pieces to whoever leads and returns when they are committed; raises NotAccepted."""


class _Waiter:
    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: Committed | None = None


class ClusterProposer:
    """Proposes through `submit` until the answer is here or the time is over.

    Args:
        machine: this node's replica, which tells the answers.
        submit: one try, at the leader wherever it is.
        session: unique for each run of the daemon.
        leader_wait_s: how long to look for a leader before giving up with Unavailable.
    """

    def __init__(self, machine: Machine, submit: Submit, *, session: str, leader_wait_s: float = 5.0) -> None:
        self._machine = machine
        self._submit = submit
        self._session = session
        self._leader_wait_s = leader_wait_s
        self._last_number = 0
        self._waiters: dict[int, _Waiter] = {}
        self._slots = trio.CapacityLimiter(MAX_OUTSTANDING)
        machine.on_answer(self._on_answer)

    def _on_answer(self, command_id: CommandId, index: int, outcome: AnyOutcome) -> None:
        if command_id.session != self._session:
            return
        waiter = self._waiters.get(command_id.number)
        if waiter is not None and waiter.answer is None:
            waiter.answer = Committed(index, outcome)
            waiter.answered.set()

    async def propose(self, command: AnyCommand, *, timeout_s: float = 10.0, origin: Origin | None = None) -> Committed:
        level, agreed = level_of(command, origin), self._machine.state.feature_level
        if level > agreed:
            return Committed(self._machine.index, beyond(agreed, level))
        async with self._slots:
            self._last_number += 1
            number = self._last_number
            waiter = self._waiters[number] = _Waiter()
            entry = Entry(
                id=CommandId(self._session, number),
                answered_below=min(self._waiters),
                time_s=time.time(),
                command=command,
                origin=origin,
                level=level,
            )
            try:
                return await self._try_until_answered(waiter, encode(entry), timeout_s)
            finally:
                del self._waiters[number]

    async def _try_until_answered(self, waiter: _Waiter, pieces: list[bytes], timeout_s: float) -> Committed:
        start_s = trio.current_time()
        deadline_s = start_s + timeout_s
        ambiguous, problem, storage_full = False, "no answer", False
        while waiter.answer is None and (now_s := trio.current_time()) < deadline_s:
            if not ambiguous and now_s - start_s > self._leader_wait_s:
                break
            try:
                await self._submit(pieces, deadline_s - now_s)
            except NotAccepted as error:
                ambiguous, problem, storage_full = ambiguous or error.ambiguous, str(error), error.storage_full
                pause_s = RETRY_PAUSE_S
            else:
                # Committed at the leader: the entry is on its way to this replica.
                ambiguous, pause_s = True, 1.0
            with trio.move_on_after(min(pause_s, max(0.0, deadline_s - trio.current_time()))):
                await waiter.answered.wait()
        if waiter.answer is not None:
            return waiter.answer
        if ambiguous:
            raise OutcomeUnknown(f"the command was sent, but no answer came within {timeout_s:g} s: {problem}")
        if storage_full:
            raise StorageFull(f"nothing can be written now: {problem}")
        raise Unavailable(f"the cluster has no leader now: {problem}")


class LocalProposer:
    """Applies at once to one machine that nobody else has: the same face without a cluster, for tests."""

    def __init__(self, machine: Machine, *, now_s: Callable[[], float]) -> None:
        self._machine = machine
        self._now_s = now_s
        self._number = 0

    async def propose(self, command: AnyCommand, *, timeout_s: float = 10.0, origin: Origin | None = None) -> Committed:
        await trio.lowlevel.checkpoint()
        self._number += 1
        entry = Entry(id=CommandId("local", self._number), time_s=self._now_s(), command=command, origin=origin)
        outcome: Any = None
        for piece in encode(entry):
            outcome = self._machine.apply(self._machine.index + 1, piece)
        return Committed(self._machine.index, outcome)
