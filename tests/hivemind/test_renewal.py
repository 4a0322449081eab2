"""A certificate renews itself at two thirds of its life (design.md §5)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
import trio.testing

from consensus.machine import Machine
from consensus.proposer import LocalProposer
from hivemind.identity_keeper import IdentityKeeper
from hivemind.peer.channel import PeerChannel
from hivemind.peer.identity import Identity
from hivemind.renewal import Renewal
from hivemind.startup.founding import found_cluster
from tests.support.waiting import wait_until_async

_DAY_S = 24 * 3600.0
_START_S = 1_800_000_000.0


async def _no_hash(password: str) -> str:
    return f"hash of {password}"


@pytest.mark.parametrize(("age_days", "due"), [(59, False), (61, True), (89, True)])
async def test_a_certificate_is_renewed_when_two_thirds_are_over(
    tmp_path: Path, nursery: trio.Nursery, age_days: int, due: bool
) -> None:
    founding = await found_cluster("n1", admin_password="p", hash_password=_no_hash, now_s=_START_S)
    machine = Machine()
    await LocalProposer(machine, now_s=lambda: _START_S).propose(founding.command)
    channel = PeerChannel(founding.identity, bind=("127.0.0.1", 0), resolve=lambda _: None, rng=random.Random(1))
    now_s = _START_S + age_days * _DAY_S
    keeper = IdentityKeeper(founding.identity, tmp_path)
    renewal = Renewal(keeper, machine, channel, now_s=lambda: now_s)
    nursery.start_soon(renewal.run)
    await trio.testing.wait_all_tasks_blocked()
    if not due:
        assert keeper.identity is founding.identity
        return

    async def renewed() -> bool:
        await trio.lowlevel.checkpoint()
        return keeper.identity is not founding.identity

    await wait_until_async(renewed, 10.0, "a renewed identity")
    kept = Identity.load(tmp_path)
    assert kept == keeper.identity
    assert not kept.renew_due(now_s)
    assert kept.certificate_pem != founding.identity.certificate_pem
