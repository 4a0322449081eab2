"""One term of leadership: rounds of planning and proposing.

A round follows news of the replica or of membership, gathered for a moment so that many reports make one plan, and
the instants at which time alone changes a verdict. What it proposes is news too: rounds follow until nothing is left
to do. Large plans are made in a worker thread over the frozen State.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import structlog
import trio

from consensus.commands import AnyCommand
from consensus.errors import ConsensusError
from consensus.outcomes import Refusal
from consensus.raft.errors import RaftError
from hivemind.orchestrator import conditions, lost, voters
from hivemind.orchestrator.alerts import MASS_LOSS
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.cpu_reader import CpuReader
from hivemind.orchestrator.deps import Deps
from hivemind.orchestrator.observer import Observer
from hivemind.orchestrator.pinger import Pinger
from hivemind.orchestrator.plans import Job, Plans

log = structlog.get_logger()

THREAD_FROM_SIZE = 1500
"""Nodes and tasks from which a plan is made in a thread: about 5 ms of work, where a thread costs 0.2 ms."""

RECHECK_S = 1.0
"""How often is looked at what sends no news, while it matters: whether a learner caught up, whether a loss settled."""

LONGEST_WAIT_S = 30.0
"""The wall clock may be set anew; what is due by it is looked for at least so often."""

VOTER_TIMEOUT_S = 10.0
HAND_OVER_TIMEOUT_S = 2.0


class Term:
    """Everything that is known only to the leader of one term; run once, cancelled when it is over."""

    def __init__(self, deps: Deps, config: OrchestratorConfig) -> None:
        self._deps = deps
        self._config = config
        self._observer = Observer(deps.self_id, config)
        self._plans = Plans(self._observer, config, deps.members.surroundings, deps.machine.state)
        self._pinger = Pinger(deps.ping, self._observer, config, self._wake)
        self._cpu = CpuReader(deps, self._plans.autoscaling, config.cpu_read_s, self._wake)
        self._woken = trio.Event()
        self._changing_voters = False

    def _wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        machine = self._deps.machine
        machine.on_touch(self._plans.touched)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_members)
                nursery.start_soon(self._follow_replica, machine.index)
                nursery.start_soon(self._cpu.run)
                while True:
                    self._woken = trio.Event()
                    pause_s = await self._round(nursery)
                    # News after a quiet time is planned on at once; what follows on its heels is gathered.
                    earliest_s = trio.current_time() + max(self._config.batch_window_s, pause_s)
                    with trio.move_on_at(self._next_deadline_s()):
                        await self._woken.wait()
                    await trio.sleep_until(earliest_s)
        finally:
            machine.off_touch(self._plans.touched)

    async def _follow_members(self) -> None:
        while True:
            # Before waiting: what changed while nobody waited is seen by the round that this starts.
            self._wake()
            await self._deps.members.changed()

    async def _follow_replica(self, index: int) -> None:
        while True:
            index = await self._deps.machine.watch.changed(index)
            self._wake()

    async def _round(self, nursery: trio.Nursery) -> float:
        """Plans and proposes once. Returns for how many seconds the next round shall wait at least."""
        machine, pause_s = self._deps.machine, 0.0
        doubted = self._observer.look(machine.state.nodes.values(), self._deps.members.views(), trio.current_time())
        self._pinger.ask(doubted, nursery)
        self._cpu.look()
        try:
            for stage in self._plans.stages():
                job = stage(machine.state, trio.current_time(), self._deps.wall_s())
                if job is not None:
                    started_s = trio.current_time()
                    commands = await self._make(job)
                    # As long a pause as planning took leaves half of the time to others under a flood of news.
                    pause_s += trio.current_time() - started_s
                    if not await self._propose(job.name, commands):
                        pause_s = max(pause_s, self._config.retry_pause_s)
        except ConsensusError as error:
            log.warning("orchestrator_round_failed", reason=str(error))
            self._plans.everything(machine.state)
            await trio.sleep(self._config.retry_pause_s)
            self._wake()
        self._look_at_voters(nursery)
        return pause_s

    async def _make(self, job: Job) -> Sequence[AnyCommand]:
        if job.size < THREAD_FROM_SIZE:
            return job.make()
        return await trio.to_thread.run_sync(job.make, abandon_on_cancel=True)

    async def _propose(self, stage: str, commands: Sequence[AnyCommand]) -> bool:
        """Returns whether all were accepted."""
        accepted = True
        for command in commands:
            committed = await self._deps.proposer.propose(command, timeout_s=self._config.propose_timeout_s)
            if isinstance(committed.outcome, Refusal):
                # Somebody else changed what it was planned on; that is news, and is planned on anew.
                log.debug("plan_refused", stage=stage, reason=committed.outcome.message)
                self._plans.everything(self._deps.machine.state)
                accepted = False
        return accepted

    def _look_at_voters(self, nursery: trio.Nursery) -> None:
        if self._changing_voters:
            return
        raft, state = self._deps.raft, self._deps.machine.state
        evidence = self._observer.evidence(trio.current_time())
        change = voters.plan(state.nodes, self._deps.self_id, raft.voters, raft.caught_up, evidence, self._config)
        if change is not None:
            self._changing_voters = True
            nursery.start_soon(self._change_voters, change)

    async def _change_voters(self, change: voters.VoterChange) -> None:
        raft = self._deps.raft
        try:
            match change:
                case voters.AddVoter(node_id):
                    await raft.add_voter(node_id, timeout_s=VOTER_TIMEOUT_S)
                case voters.RemoveVoter(node_id):
                    await raft.remove_voter(node_id, timeout_s=VOTER_TIMEOUT_S)
                case voters.HandOver(node_id):
                    await raft.transfer_leadership(node_id, timeout_s=HAND_OVER_TIMEOUT_S)
        except RaftError as error:
            log.warning("voter_change_failed", change=repr(change), reason=str(error))
            await trio.sleep(RECHECK_S)
        else:
            log.info("voter_changed", change=repr(change), voters=raft.voters)
        self._changing_voters = False
        self._wake()

    def _next_deadline_s(self) -> float:
        now_s, state = trio.current_time(), self._deps.machine.state
        deadlines_s = [at_s for at_s in self._observer.deadlines_s() if at_s > now_s]
        evidence, voting = self._observer.evidence(now_s), self._deps.raft.voters
        if (
            MASS_LOSS in state.alerts
            or voters.may_change(state.nodes, self._deps.self_id, voting, evidence, self._config)
            or lost.awaits_nodes(state)
            or any(conditions.standing(state))
        ):
            deadlines_s.append(now_s + RECHECK_S)
        deadlines_s += self._plans.deadlines_s(state, now_s, self._deps.wall_s())
        if (due_at_s := self._plans.due_at_s) < math.inf:
            deadlines_s.append(now_s + min(LONGEST_WAIT_S, max(0.0, due_at_s - self._deps.wall_s())))
        return min(deadlines_s, default=math.inf)
