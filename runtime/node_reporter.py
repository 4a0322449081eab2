"""Tells the cluster what this run of the daemon finds of its node, whenever that is other than what the cluster has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from consensus.commands import AnyCommand
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.node import Node
from consensus.outcomes import Refusal
from consensus.proposer import Proposer
from runtime.backoff import Backoff

log = structlog.get_logger()


class NodeReporter:
    """
    Args:
        boot_id: names this run of the daemon; a report of an earlier one is void.
        what: the word for it in the log.
        due: the report that the cluster needs, seeing what it has of the node; None: none.
        changed: returns when that may be another.
    """

    def __init__(
        self,
        node_id: str,
        boot_id: str,
        machine: Machine,
        proposer: Proposer,
        *,
        what: str,
        due: Callable[[Node], AnyCommand | None],
        changed: Callable[[], Awaitable[object]],
    ) -> None:
        self._node_id = node_id
        self._boot_id = boot_id
        self._machine = machine
        self._proposer = proposer
        self._what = what
        self._due = due
        self._changed = changed

    async def run(self) -> None:
        backoff = Backoff(first_s=0.5, last_s=10.0)
        while True:
            index = self._machine.watch.index
            node = self._machine.state.nodes.get(self._node_id)
            if node is None or node.boot_id != self._boot_id:
                # The cluster has not heard of this run of the daemon yet.
                await self._machine.watch.changed(index)
            elif (report := self._due(node)) is None:
                await self._changed()
            elif (problem := await self._told(report)) is None:
                backoff.reset()
            else:
                log.info(f"{self._what}_report_delayed", reason=problem)
                await trio.sleep(backoff.next_s())

    async def _told(self, report: AnyCommand) -> str | None:
        """Why it was not taken: there is no leader, or not all nodes know such reports yet."""
        try:
            committed = await self._proposer.propose(report)
        except ConsensusError as error:
            return str(error)
        return committed.outcome.message if isinstance(committed.outcome, Refusal) else None
