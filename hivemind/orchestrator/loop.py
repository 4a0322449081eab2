"""The driver: from election to deposition, again and again.

A new leader first waits until its replica has applied everything that was committed before its term (`read_barrier`
answers only once an entry of its own term is committed; all of the past lies below it), so that it plans on nothing
stale. What it had under way is cancelled the moment it is deposed.
"""

from __future__ import annotations

import structlog
import trio

from consensus.raft.errors import RaftError
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Deps
from hivemind.orchestrator.term import Term

log = structlog.get_logger()

BARRIER_TIMEOUT_S = 5.0


class Orchestrator:
    """Runs on every node, and acts where the leader is."""

    def __init__(self, deps: Deps, config: OrchestratorConfig | None = None) -> None:
        self._deps = deps
        self._config = config or OrchestratorConfig()
        self._config.validate()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Leads whenever this node does, until cancelled."""
        task_status.started()
        raft = self._deps.raft
        while True:
            number = await raft.leads()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._lead, number)
                await raft.deposed(number)
                nursery.cancel_scope.cancel()
            log.info("orchestrator_deposed", term=number)

    async def _lead(self, number: int) -> None:
        await self._catch_up()
        log.info("orchestrator_leads", term=number, index=self._deps.machine.index)
        await Term(self._deps, self._config).run()

    async def _catch_up(self) -> None:
        raft = self._deps.raft
        while True:
            try:
                await raft.wait_applied(await raft.read_barrier(timeout_s=BARRIER_TIMEOUT_S))
            except RaftError as error:
                log.debug("orchestrator_waits", reason=str(error))
                await trio.sleep(self._config.retry_pause_s)
            else:
                return
