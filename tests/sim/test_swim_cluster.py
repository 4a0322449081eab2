"""Whole clusters of pure cores under virtual time. A failure prints its seed."""

from __future__ import annotations

from typing import Any

import pytest

from membership import MemberState, lan
from membership.faults import LinkQuality
from membership.inputs import Contact, Leave, SetMeta, SetVitals
from tests.sim.swim.world import Simulation

ROUGH = LinkQuality(loss=0.01, duplication=0.01, delay_min_s=0.001, delay_max_s=0.03)
AWFUL = LinkQuality(loss=0.2, duplication=0.1, delay_min_s=0.001, delay_max_s=0.2)


SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


@SEEDS
def test_joins_converge(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(32, settle_s=0.4)
    took_s = sim.run_until(sim.all_see_all_alive, within_s=5)
    assert all(outcome.error is None for outcome in sim.joins), f"seed {seed}"
    assert took_s < 5


@SEEDS
def test_a_dead_member_is_detected_by_all(seed: int) -> None:
    """Full detection: a probe, the suspicion, and gossip. With 32 members the suspicion lasts 6 s at the
    shortest and 36 s at the longest; independent accusers bring it near the shortest."""
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(32)
    sim.kill("n7")
    sim.run_until(lambda: sim.all_believe("n7", MemberState.DEAD), within_s=20)
    assert {sighting.subject for sighting in sim.seen(MemberState.DEAD)} == {"n7"}, f"seed {seed}"


@SEEDS
def test_no_false_death_at_one_percent_loss(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(32)
    sim.run(180)
    assert not sim.seen(MemberState.DEAD), f"seed {seed}"
    assert not sim.seen(MemberState.SUSPECT), f"seed {seed}"


def test_no_false_death_on_an_awful_network_without_streams() -> None:
    """Suspicions there are, but they are refuted (SWIM §4.2)."""
    config = lan().__class__(fallback_probe=False)
    sim = Simulation(config, seed=5, quality=AWFUL)
    sim.start_cluster(16, settle_s=30)
    sim.run(120)
    assert sim.total("suspicions") > 0
    assert not sim.seen(MemberState.DEAD)


@SEEDS
def test_a_partition_heals(seed: int) -> None:
    """Longer than `gossip_to_dead_s`, so that only the reconnect can heal it."""
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(12)
    addresses = [host.address for host in sim.hosts.values()]
    sim.faults.partition(addresses[:5], addresses[5:])
    sim.run(90)
    one_side = sim.hosts["n0"].swim.table
    assert one_side.live_count() == 5, f"seed {seed}"
    assert sim.hosts["n11"].swim.table.live_count() == 7, f"seed {seed}"
    sim.faults.heal()
    sim.run_until(sim.all_see_all_alive, within_s=90)


@SEEDS
@pytest.mark.parametrize(("size", "apart"), [(3, 1), (5, 2), (15, 1)])
def test_a_long_partition_is_over_with_the_first_contact(seed: int, size: int, apart: int) -> None:
    """The layers above find each other within seconds; gossip waited for its reconnect, up to half a minute."""
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(size)
    names = list(sim.hosts)
    addresses = [host.address for host in sim.hosts.values()]
    sim.faults.partition(addresses[:apart], addresses[apart:])
    sim.run(90)
    sim.faults.heal()
    for here in names[:apart]:
        for there in names[apart:]:
            sim.input(here, Contact(there))
            sim.input(there, Contact(here))
    sim.run_until(sim.all_see_all_alive, within_s=2)


@SEEDS
def test_a_paused_member_refutes(seed: int) -> None:
    """SIGSTOP for long enough to be suspected but not to be dead: nobody ever holds it dead."""
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(16)
    sim.pause("n3", 4.5)
    sim.run_until(lambda: bool(sim.seen(MemberState.SUSPECT, "n3")), within_s=5)
    sim.run(15)
    sim.run_until(sim.all_see_all_alive, within_s=10)
    assert not sim.seen(MemberState.DEAD, "n3"), f"seed {seed}"
    assert sim.hosts["n3"].swim.own.incarnation > 1, f"seed {seed}"


@SEEDS
def test_a_member_paused_for_a_minute_comes_back(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(16)
    sim.pause("n3", 60)
    sim.run(59)
    assert sim.all_believe("n3", MemberState.DEAD), f"seed {seed}"
    sim.run_until(sim.all_see_all_alive, within_s=30)
    assert {sighting.subject for sighting in sim.seen(MemberState.DEAD)} == {"n3"}, f"seed {seed}"


@pytest.mark.parametrize("towards", ["from", "to"])
def test_a_one_way_udp_cut_leads_to_no_suspicion_while_streams_work(towards: str) -> None:
    """n1 loses every datagram in one direction, to or from everybody."""
    sim = Simulation(lan(), seed=4, quality=ROUGH)
    sim.start_cluster(8)
    victim = sim.hosts["n1"].address
    for host in sim.hosts.values():
        sim.udp_faults.cut(*((victim, host.address) if towards == "from" else (host.address, victim)))
    sim.run(120)
    assert sim.total("fallback_acks") > 10
    assert not sim.seen(MemberState.SUSPECT)


@SEEDS
def test_leaving_is_no_death(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(16)
    sim.input("n5", Leave())
    sim.run_until(lambda: sim.hosts["n5"].left, within_s=5)
    sim.kill("n5")
    sim.run_until(lambda: sim.all_believe("n5", MemberState.LEFT), within_s=5)
    sim.run(60)
    assert not sim.seen(MemberState.DEAD), f"seed {seed}"


@SEEDS
def test_a_restart_is_seen_with_a_higher_incarnation_and_without_a_death(seed: int) -> None:
    """The incarnation comes from the store, so the second life overrides the first at once."""
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(8)
    first = sim.hosts["n2"]
    sim.kill("n2")
    sim.run(0.5)
    second = sim.start("n2", address=first.address)
    sim.join("n2", "n0")
    assert second.swim.own.incarnation > first.swim.own.incarnation

    def all_know() -> bool:
        latest = second.swim.own.incarnation
        return all(host.swim.table.members["n2"].incarnation == latest for host in sim.up())

    # Gossip alone misses a member now and then (about 1 % at this size); then a push-pull tells it.
    sim.run_until(all_know, within_s=60)
    assert not sim.seen(MemberState.DEAD), f"seed {seed}"


def test_the_same_name_elsewhere_is_refused_until_the_old_one_is_dead() -> None:
    sim = Simulation(lan(), seed=6)
    sim.start_cluster(8)
    old = sim.hosts["n2"].address
    sim.kill("n2")
    sim.start("n2", address=("10.9.9.9", 7946))
    sim.join("n2", "n0")
    sim.run(0.5)
    assert "belongs to the live member" in (sim.joins[-1].error or "")
    assert sim.hosts["n0"].swim.table.members["n2"].endpoint == old
    sim.run_until(
        lambda: all(
            host.swim.table.members["n2"].state is MemberState.DEAD for host in sim.up() if host.swim.name != "n2"
        ),
        within_s=60,
    )
    sim.join("n2", "n0")
    sim.run_until(sim.all_see_all_alive, within_s=5)
    assert sim.joins[-1].error is None
    assert sim.hosts["n0"].swim.table.members["n2"].address == "10.9.9.9"


@SEEDS
def test_meta_and_vitals_reach_everybody(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=ROUGH)
    sim.start_cluster(24)
    sim.input("n1", SetMeta(b"restarting"))
    sim.input("n1", SetVitals(b"load 1"))
    sim.input("n1", SetVitals(b"load 2"))

    def all_know() -> bool:
        return all(
            host.swim.table.members["n1"].meta == b"restarting" and host.swim.vitals.data.get("n1") == b"load 2"
            for host in sim.up()
        )

    assert sim.run_until(all_know, within_s=5) < 5


def test_load_per_member_does_not_grow_with_the_cluster() -> None:
    """SWIM §3: a ping and an ack per member and period, whatever n."""
    per_member = []
    for count in (8, 32):
        sim = Simulation(lan(), seed=7)
        sim.start_cluster(count, settle_s=30)
        sim.sent.clear()
        sim.run(60)
        per_member.append(sim.sent["packets"] / count / 60)
    assert per_member == pytest.approx([2.0, 2.0], rel=0.05)


def test_a_run_is_repeated_by_its_seed() -> None:
    def history() -> Any:
        sim = Simulation(lan(), seed=8, quality=AWFUL)
        sim.start_cluster(10)
        sim.kill("n3")
        sim.run(30)
        return sim.sightings, sim.sent

    assert history() == history()
