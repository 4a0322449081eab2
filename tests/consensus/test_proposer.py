"""Proposing: the answer comes from the own replica, and a retry never applies twice (issue 2, bar 3)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from consensus import commands as c
from consensus.errors import OutcomeUnknown, Unavailable
from consensus.machine import Machine
from consensus.outcomes import Deployed, Refusal
from consensus.proposer import ClusterProposer, LocalProposer, NotAccepted
from tests.consensus.making import spec


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def proposer(machine: Machine, submit: Callable[[list[bytes], float], Awaitable[None]]) -> ClusterProposer:
    return ClusterProposer(machine, submit, session="s", leader_wait_s=5.0)


def applied(machine: Machine, pieces: list[bytes]) -> None:
    for piece in pieces:
        machine.apply(machine.index + 1, piece)


async def test_it_tries_until_there_is_a_leader(autojump_clock: trio.testing.MockClock) -> None:
    machine, tries = Machine(), 0

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise NotAccepted("no leader", ambiguous=False)
        applied(machine, pieces)

    committed = await proposer(machine, submit).propose(c.DeployApp(spec("web", 2)))
    assert isinstance(committed.outcome, Deployed)
    assert (committed.index, tries) == (1, 4)


async def test_a_refusal_is_an_outcome(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        applied(machine, pieces)

    assert isinstance((await proposer(machine, submit).propose(c.ScaleApp("none", 1))).outcome, Refusal)


async def test_without_a_leader_it_says_so_and_nothing_is_applied(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        raise NotAccepted("no leader", ambiguous=False)

    start_s = trio.current_time()
    with pytest.raises(Unavailable, match="no leader"):
        await proposer(machine, submit).propose(c.DeployApp(spec()), timeout_s=60)
    assert 5.0 <= trio.current_time() - start_s < 6.0
    assert machine.index == 0


async def test_what_was_sent_is_in_doubt_until_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        raise NotAccepted("the leader changed", ambiguous=True)

    start_s = trio.current_time()
    with pytest.raises(OutcomeUnknown, match="the leader changed"):
        await proposer(machine, submit).propose(c.DeployApp(spec()), timeout_s=9)
    assert trio.current_time() - start_s == pytest.approx(9.0, abs=0.2)


async def test_an_ambiguous_try_that_was_applied_is_answered_and_not_applied_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    machine, tries = Machine(), 0

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            applied(machine, pieces)
        raise NotAccepted("the connection broke", ambiguous=True)

    committed = await proposer(machine, submit).propose(c.DeployApp(spec("web", 2)))
    assert isinstance(committed.outcome, Deployed)
    assert (committed.index, len(machine.state.tasks)) == (1, 2)


async def test_an_answer_that_comes_late_to_the_replica_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()
    async with trio.open_nursery() as nursery:

        async def replicate(pieces: list[bytes]) -> None:
            await trio.sleep(0.7)
            applied(machine, pieces)

        async def submit(pieces: list[bytes], timeout_s: float) -> None:
            nursery.start_soon(replicate, pieces)

        start_s = trio.current_time()
        committed = await proposer(machine, submit).propose(c.DeployApp(spec()))
        assert isinstance(committed.outcome, Deployed)
        assert trio.current_time() - start_s == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
async def test_over_a_bad_way_each_command_applies_exactly_once(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Tries are lost, repeated, delayed, cut between parts; a counter's sum tells of every loss and double."""
    rng, machine = random.Random(seed), Machine()
    sent: list[list[bytes]] = []

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        await trio.sleep(rng.uniform(0, 0.3))
        sent.append(pieces)
        fate = rng.random()
        if fate < 0.2:
            raise NotAccepted("not sent", ambiguous=False)
        if fate < 0.4:
            applied(machine, pieces[: rng.randint(0, len(pieces) - 1)])
            raise NotAccepted("cut off", ambiguous=True)
        applied(machine, pieces)
        if fate < 0.6:
            applied(machine, rng.choice(sent))
        if fate < 0.8:
            raise NotAccepted("no answer", ambiguous=True)

    door = proposer(machine, submit)
    outcomes: list[object] = []

    async def client(number: int) -> None:
        env = {f"K{i}": "x" * 1000 for i in range(300 if number % 10 == 0 else 0)}
        committed = await door.propose(c.DeployApp(spec(f"app{number}", 1, env=env)), timeout_s=60)
        outcomes.append(committed.outcome)

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(client, number)
    assert all(isinstance(outcome, Deployed) for outcome in outcomes)
    assert len(machine.state.apps) == len(machine.state.tasks) == len(outcomes) == 60


async def test_a_cancelled_proposal_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()

    async def submit(pieces: list[bytes], timeout_s: float) -> None:
        await trio.sleep(1)
        applied(machine, pieces)

    door = proposer(machine, submit)
    with trio.move_on_after(0.5):
        await door.propose(c.DeployApp(spec("a")))
    assert isinstance((await door.propose(c.DeployApp(spec("b")))).outcome, Deployed)
    assert set(machine.state.apps) == {"b"}


async def test_the_local_proposer_has_the_same_face() -> None:
    machine = Machine()
    local = LocalProposer(machine, now_s=lambda: 5.0)
    env = {f"K{i}": "x" * 1000 for i in range(300)}
    committed = await local.propose(c.DeployApp(spec("web", 1, env=env)))
    assert isinstance(committed.outcome, Deployed)
    assert committed.index == machine.index > 1
    assert machine.state.apps["web"].created_at_s == 5.0


async def test_watchers_wake_when_their_index_is_applied() -> None:
    machine = Machine()
    local = LocalProposer(machine, now_s=lambda: 5.0)
    reached: list[int] = []
    async with trio.open_nursery() as nursery:

        async def wait(index: int) -> None:
            await machine.watch.reached(index)
            reached.append(index)

        for index in (2, 1, 3):
            nursery.start_soon(wait, index)
        await trio.testing.wait_all_tasks_blocked()
        assert not reached
        for name in ("a", "b", "c"):
            await local.propose(c.DeployApp(spec(name)))
            await trio.testing.wait_all_tasks_blocked()
    assert reached == [1, 2, 3]
    assert await machine.watch.changed(2) == 3
