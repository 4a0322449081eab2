"""The driver: acts only while it leads and only on all of the past; what fails is planned again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from consensus import commands as c
from consensus.apply.app import TASKS_AT_ONCE
from consensus.errors import OutcomeUnknown, Unavailable
from consensus.proposer import Committed
from consensus.raft.errors import BarrierFailed, ChangeRefused
from hivemind.orchestrator.batches import TASKS_PER_COMMAND
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Deps
from hivemind.orchestrator.loop import Orchestrator
from hivemind.orchestrator.members import MemberState, MemberView
from runtime.engine.base import CpuTime
from tests.consensus.making import Feed, spec
from tests.sim.orchestrator_world import Gossip, Leadership


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


class Door:
    """A proposer that notes what is proposed, and fails or hangs on demand."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.proposed: list[c.AnyCommand] = []
        self.errors: list[Exception] = []
        self.delay_s = 0.0

    async def propose(self, command: c.AnyCommand, *, timeout_s: float = 10.0) -> Committed:
        self.proposed.append(command)
        await trio.sleep(self.delay_s)
        if self.errors:
            raise self.errors.pop(0)
        outcome = self.feed(command)
        return Committed(self.feed.machine.index, outcome)


class Raft(Leadership):
    """As Leadership, not leading until told, with a barrier that can fail and an index to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.elected = trio.Event()
        self.applied = trio.Event()
        self.barrier_failures = 0
        self.refusals = 0

    async def leads(self) -> int:
        await self.elected.wait()
        return self.term

    async def read_barrier(self, *, timeout_s: float) -> int:
        await trio.lowlevel.checkpoint()
        if self.barrier_failures:
            self.barrier_failures -= 1
            raise BarrierFailed("no quorum")
        return 7

    async def wait_applied(self, index: int) -> None:
        assert index == 7
        await self.applied.wait()

    async def add_voter(self, node_id: str, *, timeout_s: float) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ChangeRefused("another change is under way")
        await super().add_voter(node_id, timeout_s=timeout_s)


class Stage:
    def __init__(self, nodes: int) -> None:
        self.feed = Feed()
        self.names = self.feed.add_nodes(nodes)
        self.door = Door(self.feed)
        self.raft = Raft()
        self.raft.voters = ("n1",)
        self.gossip = Gossip()
        for name in self.names:
            self.gossip.say(MemberView(name, MemberState.ALIVE, f"{name}-1"))
        self.pings: list[str] = []
        self.ping_hangs = False

    async def ping(self, node_id: str) -> None:
        self.pings.append(node_id)
        if self.ping_hangs:
            await trio.sleep_forever()

    async def cpu_times(self, node_id: str, task_ids: Sequence[str]) -> dict[str, CpuTime]:
        await trio.lowlevel.checkpoint()
        return {}

    def lead(self) -> None:
        self.raft.applied.set()
        self.raft.elected.set()

    def unplaced(self) -> int:
        return len(self.feed.state.unplaced_task_ids)


@asynccontextmanager
async def opened(nodes: int = 3) -> AsyncIterator[Stage]:
    stage = Stage(nodes)
    deps = Deps(
        self_id="n1",
        machine=stage.feed.machine,
        proposer=stage.door,
        raft=stage.raft,
        members=stage.gossip,
        ping=stage.ping,
        cpu_times=stage.cpu_times,
        wall_s=lambda: 1000.0 + stage.feed.machine.index,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(Orchestrator(deps, OrchestratorConfig()).run)
        yield stage
        nursery.cancel_scope.cancel()


async def test_nothing_before_it_leads_and_has_applied_all_of_the_past(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A new leader whose replica lags would place tasks that its predecessor has placed already."""
    async with opened() as stage:
        stage.feed.accepted(c.DeployApp(spec("web", 3)))
        await trio.sleep(60)
        assert not stage.door.proposed
        stage.raft.barrier_failures = 2
        stage.raft.elected.set()
        await trio.sleep(60)
        assert not stage.door.proposed
        stage.raft.applied.set()
        await trio.sleep(1)
        assert stage.unplaced() == 0
        assert len(stage.door.proposed) == 1


async def test_news_that_comes_together_is_planned_together(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as stage:
        stage.lead()
        await trio.sleep(1)
        for number in range(10):
            stage.feed.accepted(c.DeployApp(spec(f"app{number}", 3)))
            await trio.lowlevel.checkpoint()
        await trio.sleep(1)
        sizes = [len(cmd.placements) for cmd in stage.door.proposed if isinstance(cmd, c.PlaceTasks)]
        assert sum(sizes) == 30
        assert len(sizes) <= 2


async def test_a_deposed_leaders_round_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as stage:
        stage.lead()
        await trio.sleep(1)
        stage.door.delay_s = 5.0
        stage.feed.accepted(c.DeployApp(spec("web", 1200)))
        await trio.sleep(6)
        stage.raft.elected = trio.Event()
        stage.raft.new_term()
        proposed = len(stage.door.proposed)
        await trio.sleep(60)
        assert len(stage.door.proposed) == proposed == 2
        made = TASKS_AT_ONCE + TASKS_PER_COMMAND
        assert stage.unplaced() == made, "those of the entry that deploys, and of the first that was proposed"
        stage.raft.elected.set()
        await trio.sleep(120)
        assert stage.unplaced() == 0


@pytest.mark.parametrize("error", [Unavailable("no leader"), OutcomeUnknown("who knows")])
async def test_a_proposal_that_came_to_nothing_is_planned_again(
    error: Exception, autojump_clock: trio.testing.MockClock
) -> None:
    async with opened() as stage:
        stage.door.errors = [error, error]
        stage.feed.accepted(c.DeployApp(spec("web", 3)), c.CreateTasks("web", [4]))
        stage.lead()
        await trio.sleep(5)
        assert stage.unplaced() == 0
        assert len(stage.feed.tasks()) == 3


async def test_an_idle_leader_does_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as stage:
        stage.feed.accepted(c.DeployApp(spec("web", 3)))
        stage.lead()
        await trio.sleep(20)
        assert stage.unplaced() == 0
        proposed, index = len(stage.door.proposed), stage.feed.machine.index
        start_s = trio.current_time()
        await trio.sleep(24 * 3600)
        assert trio.current_time() - start_s >= 24 * 3600
        assert (len(stage.door.proposed), stage.feed.machine.index) == (proposed, index)
        assert not stage.pings


async def test_a_suspected_node_that_answers_pings_stays(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(4) as stage:
        stage.lead()
        await trio.sleep(20)
        before = len(stage.door.proposed)
        stage.gossip.say(MemberView("n3", MemberState.DEAD, "n3-1"))
        await trio.sleep(30)
        assert set(stage.pings) == {"n3"}
        assert len(stage.door.proposed) == before
        stage.gossip.say(MemberView("n3", MemberState.ALIVE, "n3-1"))
        await trio.sleep(1)
        asked = len(stage.pings)
        await trio.sleep(30)
        assert len(stage.pings) == asked


async def test_a_node_whose_channel_hangs_is_lost_in_two_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(4) as stage:
        stage.lead()
        await trio.sleep(20)
        stage.ping_hangs = True
        stage.gossip.say(MemberView("n3", MemberState.SUSPECT, "n3-1"))
        await trio.sleep(1.9)
        assert stage.feed.state.nodes["n3"].status.value == "ready"
        await trio.sleep(0.2)
        assert stage.feed.state.nodes["n3"].status.value == "lost"


async def test_a_refused_change_of_voters_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(3) as stage:
        stage.raft.refusals = 2
        stage.lead()
        await trio.sleep(10)
        assert stage.raft.voters == ("n1", "n2", "n3")
        assert stage.raft.changes == ["+n2", "+n3"]


async def test_a_refused_plan_is_not_repeated_in_a_hurry(autojump_clock: trio.testing.MockClock) -> None:
    """A plan that is refused again and again must not fill the log: it waits `retry_pause_s` each time."""
    async with opened(3) as stage:
        stage.lead()
        await trio.sleep(20)
        refused = c.ScaleApp("none", 1)
        stage.door.feed = _Refusing(stage.feed, refused)
        stage.feed.accepted(c.DeployApp(spec("web", 3)))
        before = len(stage.door.proposed)
        await trio.sleep(10)
        assert 10 <= len(stage.door.proposed) - before <= 60


class _Refusing(Feed):
    """Applies something that is refused instead of what it is given."""

    def __init__(self, feed: Feed, refused: c.AnyCommand) -> None:
        super().__init__(feed.machine, session="refusing")
        self._refused = refused

    def __call__(self, command: c.AnyCommand) -> object:  # type: ignore[override]
        return super().__call__(self._refused)


async def test_a_large_batch_is_planned_in_a_thread_and_the_loop_goes_on() -> None:
    """On the real clock: under autojump a thread would let time run away."""
    async with opened(50) as stage:
        stage.lead()
        await trio.testing.wait_all_tasks_blocked()
        stage.feed.accepted(c.DeployApp(spec("web", 4000)))
        with trio.fail_after(20):
            while stage.unplaced():
                await stage.feed.machine.watch.changed(stage.feed.machine.index)
        assert max(len(ids) for ids in stage.feed.state.task_ids_by_node.values()) == 80
