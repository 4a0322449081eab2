"""The driver under virtual time, over networks in memory."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
import trio.testing

from membership import (
    Keyring,
    MemberChanged,
    Membership,
    MemberState,
    MemoryIncarnationStore,
    MetaTooLarge,
    NotRunning,
    Peer,
    VitalsChanged,
    lan,
)
from membership.faults import LinkQuality
from membership.keyring import KEY_BYTES

SEED = Peer("n0", ("10.0.0.1", 7946))
ROUGH = LinkQuality(loss=0.01, duplication=0.01, delay_min_s=0.001, delay_max_s=0.02)


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """No thread runs in these tests, so the clock may jump (style.md 17)."""
    return trio.testing.MockClock(autojump_threshold=0)


def states(member: Membership) -> dict[str, str]:
    return {name: other.state.word for name, other in member.members.items()}


async def test_members_find_each_other_and_notice_a_death(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town(lan(), ROUGH) as town:
        members = await town.start_joined(5)
        await kit.eventually(lambda: all(len(member.members) == 5 for member in members), within_s=5)
        town.kill("n3", "10.0.0.4")
        await kit.eventually(lambda: all(states(m)["n3"] == "dead" for m in members if m.name != "n3"), within_s=40)
        assert all(states(members[0])[name] == "alive" for name in ("n0", "n1", "n2", "n4"))
        await kit.eventually(lambda: members[0].rtt_s("n1") is not None, within_s=10)
        assert members[0].rtt_s("n1") == pytest.approx(0.02, abs=0.02)


async def test_leave_is_over_when_it_has_spread(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(4)
        await trio.sleep(2)
        started_s = trio.current_time()
        await members[3].leave(timeout_s=30)
        assert trio.current_time() - started_s < 2
        await trio.sleep(0.5)
        assert [states(member)["n3"] for member in members] == ["left"] * 4


async def test_leave_gives_up_at_its_timeout(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town(lan()) as town:
        [member, *_] = await town.start_joined(2)
        started_s = trio.current_time()
        await member.leave(timeout_s=0.1)
        assert trio.current_time() - started_s <= 0.11


async def test_a_join_reports_who_failed_and_why(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        await town.start("n0", "10.0.0.1")
        late = await town.start("n1", "10.0.0.2")
        report = await late.join([SEED, Peer("ghost", ("10.0.0.99", 1)), SEED])
        assert report.joined == ("n0",)
        assert report.failed == {"ghost": "nobody serves ghost"}
        assert (await late.join([])).joined == ()


async def test_a_second_owner_of_a_name_is_refused(kit: Any, autojump_clock: Any) -> None:
    """design.md §4: and the members go on with the first."""
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        second = await town.start("n1", "10.0.0.77")
        report = await second.join([SEED])
        assert "n1 belongs to the live member at 10.0.0.2:7946" in report.failed["n0"]
        await trio.sleep(3)
        assert members[0].members["n1"].address == "10.0.0.2"
        assert members[0].health().conflicts >= 1
        assert set(second.members) == {"n1"}


async def test_a_restart_comes_back_above_its_past(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(3)
        before = members[1].members["n1"].incarnation
        town.kill("n1", "10.0.0.2")
        again = await town.start("n1", "10.0.0.2", meta=b"second life")
        await again.join([SEED])
        assert members[0].members["n1"].incarnation > before
        assert members[0].members["n1"].meta == b"second life"


async def test_changes_are_told_and_coalesced_for_the_slow(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        first = await town.start("n0", "10.0.0.1")
        async with first.changes() as changes:
            other = await town.start("n1", "10.0.0.2")
            await other.join([SEED])
            for load in range(50):
                other.set_vitals(b"%d" % load)
                other.set_meta(b"meta %d" % load)
                await trio.sleep(0.2)
            await trio.sleep(2)
            seen = [await changes.receive(), await changes.receive()]
            with trio.move_on_after(0) as scope:
                await changes.receive()
            assert scope.cancelled_caught, "one of each kind, however many there were"
        [member] = [change for change in seen if isinstance(change, MemberChanged)]
        [vitals] = [change for change in seen if isinstance(change, VitalsChanged)]
        assert (member.member.meta, member.previous) == (b"meta 49", None)
        assert vitals.vitals.data == first.vitals["n1"] == b"49"


async def test_what_is_set_before_the_start_is_announced_at_the_start(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        address = ("10.0.0.1", 7946)
        member = Membership(
            lan(),
            name="n0",
            address=address,
            meta=b"early",
            keyring=Keyring(town.keys),
            packets=town.network.attach(address),
            exchange=town.exchanges.client("n0", address),
            incarnations=MemoryIncarnationStore(),
            rng=random.Random(1),
        )
        member.set_meta(b"later")
        member.set_vitals(b"load")
        with pytest.raises(MetaTooLarge):
            member.set_meta(b"m" * 513)
        with pytest.raises(NotRunning):
            await member.join([SEED])
        await town.nursery.start(member.run)
        assert member.members["n0"].meta == b"later"
        assert member.vitals == {"n0": b"load"}


async def test_another_clusters_packets_and_junk_change_nothing(kit: Any, autojump_clock: Any) -> None:
    """design.md §4. The stranger knows names and addresses, but not the key."""
    async with kit.open_town() as town:
        member = await town.start("n0", "10.0.0.1")
        stranger = await town.start("n9", "10.0.0.9", keys=[b"x" * KEY_BYTES])
        del stranger
        rng = random.Random(3)
        for _ in range(200):
            town.network.deliver(rng.randbytes(rng.randrange(1500)), ("10.0.0.66", 1), ("10.0.0.1", 7946))
        await trio.sleep(5)
        assert set(member.members) == {"n0"}
        assert member.health().packets_rejected == 200


async def test_replayed_datagrams_change_nothing(kit: Any, autojump_clock: Any) -> None:
    """design.md §4: every datagram of a suspicion, a death and a return, played again afterwards."""
    async with kit.open_town() as town:
        recorded: list[tuple[bytes, Any, Any]] = []
        deliver = town.network.deliver
        town.network.deliver = lambda *packet: (recorded.append(packet), deliver(*packet))
        members = await town.start_joined(3)
        town.kill("n2", "10.0.0.3")
        await kit.eventually(lambda: states(members[0])["n2"] == "dead", within_s=40)
        again = await town.start("n2", "10.0.0.3")
        await again.join([SEED])
        await trio.sleep(5)
        before = [dict(member.members) for member in (members[0], members[1], again)]
        for packet in list(recorded):
            deliver(*packet)
        await trio.sleep(1)
        assert [dict(member.members) for member in (members[0], members[1], again)] == before
        assert before[0]["n2"].state is MemberState.ALIVE


async def test_keys_rotate_under_way_without_a_rejected_packet(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        members = await town.start_joined(4)
        new = b"n" * KEY_BYTES
        for step in (
            lambda ring: ring.install(new),
            lambda ring: ring.use(new),
            lambda ring: ring.remove(b"k" * KEY_BYTES),
        ):
            for member in members:
                step(member.keyring)
                await trio.sleep(0.7)
        await trio.sleep(5)
        assert [member.health().packets_rejected for member in members] == [0] * 4
        assert all(set(states(member).values()) == {"alive"} for member in members)


class FullDisk(MemoryIncarnationStore):
    """A store whose disk is full."""

    async def save(self, upto: int) -> None:
        raise OSError(28, "No space left on device")


async def test_a_full_disk_ends_no_membership(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town() as town:
        town.stores["n1"] = FullDisk()
        members = await town.start_joined(2)
        assert states(members[0]) == {"n0": "alive", "n1": "alive"}


async def test_health_counts(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town(lan()) as town:
        members = await town.start_joined(3)
        await trio.sleep(30)
        health = members[0].health()
        assert (health.members_alive, health.awareness_score, health.failed_probes) == (3, 0, 0)
        assert health.probes == pytest.approx(30, abs=2)
        assert health.news_queued == health.packets_dropped == 0
        assert 0 < health.packets_received < 200
        assert health.bytes_sent > health.packets_sent * 40


async def test_a_join_that_is_cut_short_by_the_end_of_run_returns(kit: Any, autojump_clock: Any) -> None:
    async with kit.open_town(lan()) as town:
        await town.start("n0", "10.0.0.1")
        late = await town.start("n1", "10.0.0.2")
        town.faults.partition([("10.0.0.1", 7946)], [("10.0.0.2", 7946)])
        async with trio.open_nursery() as nursery:
            reports = []

            async def join() -> None:
                reports.append(await late.join([SEED]))

            nursery.start_soon(join)
            await trio.sleep(1)
            town.kill("n1", "10.0.0.2")
        assert reports[0].failed == {"n0": "this member stopped"}
