"""What becomes of one proposal: the library's fail reasons, told apart into refused and unknown (design.md §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from .errors import (
    ChangeRefused,
    NotLeader,
    OutcomeUnknown,
    ProposalRefused,
    ProposalTimeout,
    QueueFull,
)
from .library import FAIL_REASON

if TYPE_CHECKING:
    from .core import Core


class Proposal:
    """The library's callback for one proposal: keeps what came, and wakes the proposer.

    Whoever sets `over` before that ends the waiting.
    """

    def __init__(self, core: Core) -> None:
        self.over = trio.Event()
        self._core = core
        self._answered = False
        self._index = 0
        self._result: Any = None
        self._reason = FAIL_REASON.UNKNOWN_OUTCOME

    def __call__(self, result: Any, reason: int) -> None:
        self._index, self._result, self._reason = self._core.raftLastApplied, result, reason
        self._answered = True
        self.over.set()

    async def wait(self, timeout_s: float) -> tuple[int, Any]:
        """Index and result, when `over` is set. Raises what became of the proposal otherwise."""
        await self.over.wait()
        if not self._answered:
            raise ProposalTimeout(f"no result within {timeout_s} s; it may still be applied")
        match self._reason:
            case FAIL_REASON.SUCCESS:
                return self._index, self._result
            case FAIL_REASON.QUEUE_FULL:
                raise QueueFull("too many proposals are outstanding")
            case FAIL_REASON.NOT_LEADER | FAIL_REASON.MISSING_LEADER:
                leader = self._core._getLeader()
                raise NotLeader(None if leader is None else leader.id)
            case FAIL_REASON.REQUEST_DENIED:
                raise ChangeRefused("another membership change is under way, or this one changes nothing")
            case FAIL_REASON.DISCARDED:
                raise ProposalRefused("another leader's entry took its place")
            case _:
                raise OutcomeUnknown("the leader changed; it may have been applied")
