"""Keys of a whole cluster, under virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from membership import KeyOperation, Peer, UserEventHeard, fingerprint
from membership.keyring import KEY_BYTES

OLD, NEW = b"k" * KEY_BYTES, b"n" * KEY_BYTES


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """No thread runs in these tests, so the clock may jump (style.md 17)."""
    return trio.testing.MockClock(autojump_threshold=0)


async def test_a_rotation_reaches_all_and_loses_no_packet(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(4)
        await trio.sleep(1)
        for operation, key, ring in (
            (KeyOperation.LIST, b"", [OLD]),
            (KeyOperation.INSTALL, NEW, [OLD, NEW]),
            (KeyOperation.USE, NEW, [NEW, OLD]),
            (KeyOperation.REMOVE, OLD, [NEW]),
            (KeyOperation.REMOVE, OLD, [NEW]),
        ):
            report = await members[1].change_keys(operation, key, timeout_s=5)
            assert report.complete
            assert report.rings == {f"n{index}": tuple(map(fingerprint, ring)) for index in range(4)}
            await trio.sleep(2)
        assert [member.health().packets_rejected for member in members] == [0] * 4
        assert all(member.keyring.keys == (NEW,) for member in members)


async def test_a_round_that_is_not_complete_says_who_and_why(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        await trio.sleep(1)
        town.kill("n2", "10.0.0.3")
        report = await members[0].change_keys(KeyOperation.USE, NEW, timeout_s=5)
        assert not report.complete
        assert report.failed == {
            "n0": "install the key before using it",
            "n1": "install the key before using it",
            "n2": "nobody serves n2",
        }
        assert not report.begun
        assert members[0].keyring.used == OLD
        report = await members[0].change_keys(KeyOperation.INSTALL, b"short", timeout_s=5)
        assert "a key has 32 bytes" in report.failed["n1"]


async def test_a_member_that_was_away_takes_the_new_keys_when_it_joins(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        for operation, key in ((KeyOperation.INSTALL, NEW), (KeyOperation.USE, NEW), (KeyOperation.REMOVE, OLD)):
            await members[0].change_keys(operation, key, timeout_s=5)
        late = await town.start("late", "10.0.0.99")
        assert (await late.join([Peer("n0", ("10.0.0.1", 7946))])).joined
        assert late.keyring.used == NEW
        await trio.sleep(10)
        assert late.members["n2"].state.word == members[2].members["late"].state.word == "alive"
        assert late.health().fallback_acks == 0, "packets open"


async def test_a_member_that_was_cut_off_takes_the_new_keys_when_the_network_heals(
    kit: Any, autojump_clock: Any
) -> None:
    """Neither side opens what the other seals; the exchange over the stream tells that, and whose ring is newer."""
    async with kit.open_town() as town:
        members = await town.start_joined(4)
        away = members[3]
        rest = [("10.0.0.1", 7946), ("10.0.0.2", 7946), ("10.0.0.3", 7946)]
        town.faults.partition(rest, [("10.0.0.4", 7946)])
        await trio.sleep(60)
        assert members[0].members["n3"].state.word == "dead"
        for operation, key in ((KeyOperation.INSTALL, NEW), (KeyOperation.USE, NEW), (KeyOperation.REMOVE, OLD)):
            assert (await members[0].change_keys(operation, key, timeout_s=5)).complete
        town.faults.heal()
        await kit.eventually(lambda: away.keyring.keys == (NEW,), within_s=120)
        await kit.eventually(lambda: members[1].members["n3"].state.word == "alive", within_s=60)
        await trio.sleep(5)
        before = [(member.health().packets_rejected, member.health().fallback_acks) for member in members]
        await trio.sleep(60)
        assert [(member.health().packets_rejected, member.health().fallback_acks) for member in members] == before
        assert [member.keyring.keys for member in members] == [(NEW,)] * 4


async def test_a_key_is_used_when_all_have_it_and_removed_when_nobody_uses_it(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        await trio.sleep(1)
        members[0].keyring.install(NEW)
        members[1].keyring.install(NEW)
        report = await members[0].change_keys(KeyOperation.USE, NEW, timeout_s=5)
        assert (report.begun, report.failed) == (False, {"n2": "install the key before using it"})
        assert all(member.keyring.used == OLD for member in members)
        members[2].keyring.install(NEW)
        members[1].keyring.use(NEW)
        for key, who in ((OLD, {"n0", "n2"}), (NEW, {"n1"})):
            report = await members[0].change_keys(KeyOperation.REMOVE, key, timeout_s=5)
            assert (report.begun, set(report.failed)) == (False, who)
        assert all(set(member.keyring.keys) == {OLD, NEW} for member in members)


async def test_changed_keyrings_are_saved_before_that_is_reported(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        [member, other] = await town.start_joined(2)
        saved: list[bytes] = []

        async def save(keyring: Any) -> None:
            await trio.sleep(0.5)
            saved.append(keyring.used)

        member._key_distribution._save = save
        await other.change_keys(KeyOperation.INSTALL, NEW, timeout_s=5)
        await other.change_keys(KeyOperation.USE, NEW, timeout_s=5)
        await other.change_keys(KeyOperation.LIST, timeout_s=5)
        assert saved == [OLD, NEW]


async def test_subscribers_hear_each_event_once_and_the_slow_lose_only_old_ones(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        await trio.sleep(1)
        async with members[2].changes() as changes, members[1].changes() as slow:
            for number in range(1100):
                members[0].send_event("tick", b"%d" % number)
                if number % 20 == 0:
                    await trio.sleep(0.3)
            await trio.sleep(10)
            numbers = []
            for _ in range(1000):
                change = await slow.receive()
                assert isinstance(change, UserEventHeard)
                numbers.append(int(change.event.payload))
            del changes
        assert len(set(numbers)) == 1000
        assert min(numbers) >= 50
