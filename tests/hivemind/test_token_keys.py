"""The key that signs tokens is replaced when it is old, once, by the leader; what it signed holds on."""

from __future__ import annotations

import pytest
import trio

from api.deps import TOKEN_LIFETIME_S
from consensus.commands import FoundCluster
from consensus.machine import Machine
from consensus.model.cluster import Cluster
from consensus.model.user import Role, User
from consensus.proposer import LocalProposer
from hivemind.token_keys import CHECK_S, TokenKeyRotation, TokenKeys

MEMBER_KEY = bytes(32)
LIFETIME_S = 30 * 86400.0
FOUNDED_S = 1_750_000_000.0


class Clock:
    now_s = FOUNDED_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def proposer(machine: Machine, clock: Clock) -> LocalProposer:
    """Of a founded cluster."""
    proposer = LocalProposer(machine, now_s=clock)
    keys = TokenKeys(lambda: machine.state.cluster or pytest.fail("no cluster"), MEMBER_KEY)
    cluster = Cluster(
        id="c1",
        epoch="e1",
        created_at_s=FOUNDED_S,
        ca_certificate_pem=b"",
        ca_key_sealed=b"",
        token_key_sealed=keys.seal(b"first".ljust(32)),
        join_secret_hash="",
        join_secret_sealed=b"",
    )
    admin = User(id="admin", username="admin", password_hash="", role=Role.ADMIN, created_at_s=FOUNDED_S)
    await proposer.propose(FoundCluster(cluster=cluster, admin=admin))
    return proposer


async def test_it_rotates_by_age_and_only_where_it_leads(
    machine: Machine, proposer: LocalProposer, clock: Clock, autojump_clock: trio.testing.MockClock
) -> None:
    leads = [True, False]
    rotations = [
        TokenKeyRotation(
            machine,
            proposer,
            leads=lambda number=number: leads[number],  # type: ignore[misc]
            member_key=MEMBER_KEY,
            lifetime_s=LIFETIME_S,
            now_s=clock,
        )
        for number in range(2)
    ]

    async def in_use(days: float) -> Cluster:
        clock.now_s = FOUNDED_S + days * 86400
        await trio.sleep(2 * CHECK_S)
        assert machine.state.cluster is not None
        return machine.state.cluster

    async with trio.open_nursery() as nursery:
        for rotation in rotations:
            nursery.start_soon(rotation.run)
        first = await in_use(29.9)
        assert first.previous_token_key_sealed is None
        second = await in_use(30.1)
        assert second.previous_token_key_sealed == first.token_key_sealed
        assert second.previous_token_key_until_s == clock.now_s + TOKEN_LIFETIME_S
        assert await in_use(60.0) == second
        leads[:] = [False, False]
        assert await in_use(61.0) == second
        leads[:] = [False, True]
        third = await in_use(61.0)
        assert third.previous_token_key_sealed == second.token_key_sealed
        nursery.cancel_scope.cancel()


async def test_two_leaders_rotate_once(machine: Machine, proposer: LocalProposer, clock: Clock) -> None:
    """The one that does not know yet that it leads no more proposes in the place of a key that is gone."""
    cluster = machine.state.cluster
    assert cluster is not None
    rotation = TokenKeyRotation(
        machine, proposer, leads=lambda: True, member_key=MEMBER_KEY, lifetime_s=LIFETIME_S, now_s=clock
    )
    await rotation._rotate(cluster)
    once = machine.state.cluster
    await rotation._rotate(cluster)
    assert machine.state.cluster == once != cluster
