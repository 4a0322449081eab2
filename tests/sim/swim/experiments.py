"""What the papers and memberlist measured, measured here: detection, load, joins, churn."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import msgspec

from membership import MemberState, SwimConfig, lan
from membership.faults import LinkQuality
from tests.sim.swim.record import Detection, spread
from tests.sim.swim.world import Simulation, Trace

LAN_QUALITY = LinkQuality(loss=0.01, delay_min_s=0.001, delay_max_s=0.003)
"""2±1 ms, 1 % loss."""

FAST = msgspec.structs.replace(lan(), suspicion_mult=1.5, suspicion_max_mult=16, suspicion_confirmations=2)
"""Detection in half the time, with the longest suspicion of the `lan` preset for a lone accuser."""


class DeathRun(msgspec.Struct, frozen=True):
    """A member was killed."""

    detection: Detection
    false_deaths: int
    bytes_per_member_s: float
    """From half a minute before the death to the end of the run."""


def death(
    config: SwimConfig, *, members: int, seed: int, quality: LinkQuality = LAN_QUALITY, trace: Trace | None = None
) -> DeathRun:
    """Kill one of the members at a random moment, and run on for a while after the last has noticed."""
    gc.collect()
    sim = Simulation(config, seed=seed, quality=quality, clock_drift=1e-4, trace=trace)
    sim.start_acquainted(members)
    sim.run(20 + sim.rng.random())
    sim.sent.clear()
    started_s = sim.now_s
    sim.run(30)
    victim = f"n{sim.rng.randrange(members)}"
    sim.kill(victim)
    killed_s = sim.now_s
    sim.run_until(lambda: sim.recorder.deaths_seen >= members - 1, within_s=120, step_s=0.5)
    sim.run(10)
    false = sim.recorder.false_positives(ill=(), down=(victim,))
    elapsed_s = sim.now_s - started_s
    return DeathRun(sim.recorder.detection(victim, killed_s), false.everywhere, sim.sent["bytes"] / elapsed_s / members)


def deaths(config: SwimConfig, *, members: int, seeds: range) -> Iterator[str]:
    """The figures of many deaths."""
    runs = [death(config, members=members, seed=seed) for seed in seeds]
    yield f"{members} members, one killed, 2±1 ms, 1 % loss, seeds {seeds.start} to {seeds.stop - 1}"
    yield f"  first suspicion  {spread([run.detection.suspected_s for run in runs])}"
    yield f"  first detection  {spread([run.detection.first_s for run in runs])}"
    yield f"  full detection   {spread([run.detection.full_s for run in runs])}"
    yield f"  spread of death  {spread([run.detection.full_s - run.detection.first_s for run in runs])}"
    yield f"  false deaths     {sum(run.false_deaths for run in runs)}"
    yield f"  bytes            {sum(run.bytes_per_member_s for run in runs) / len(runs):.1f} per member and second"


def swim_figures(*, members: int, seeds: range, config: SwimConfig | None = None) -> str:
    """SWIM §5. The paper counts whole protocol periods: a failure is detected in the N-th after it if the first ping to
    fail was sent in that one; e/(e-1) = 1.58 of them are expected whatever the size of the cluster."""
    config = config or lan()
    periods, verdicts = [], []
    load = 0.0
    for seed in seeds:
        gc.collect()
        sim = Simulation(config, seed=seed, quality=LinkQuality())
        sim.start_acquainted(members)
        sim.run(12 + sim.rng.random())
        sim.sent.clear()
        sim.run(10)
        load += sim.sent["packets"] / members / 10 * config.probe_interval_s / len(seeds)
        pings = Pings(sim)
        victim = f"n{sim.rng.randrange(members)}"
        sim.kill(victim)
        killed_s = sim.now_s
        sim.run_until(lambda pings=pings, victim=victim: victim in pings.first_s, within_s=30, step_s=0.05)  # type: ignore[misc]
        sim.run_until(lambda sim=sim, victim=victim: bool(sim.seen(MemberState.SUSPECT, victim)), within_s=30)  # type: ignore[misc]
        periods.append(int((pings.first_s[victim] - killed_s) / config.probe_interval_s) + 1)
        verdicts.append((sim.recorder.sightings[-1].at_s - killed_s) / config.probe_interval_s)
    mean = sum(periods) / len(periods)
    return (
        f"n = {members:4}: detected in period {mean:.2f} after the failure on average (1.58 expected), first suspicion"
        f" after {sum(verdicts) / len(verdicts):.2f} periods of time; {load:.3f} messages per member and period"
    )


class Pings:
    """When each member was pinged first, from now on."""

    def __init__(self, sim: Simulation) -> None:
        self.first_s: dict[str, float] = {}
        names = {host.address: host.swim.name for host in sim.hosts.values()}
        send = sim._send

        def note(host: object, effect: object) -> None:
            self.first_s.setdefault(names[effect.target], sim.now_s)  # type: ignore[attr-defined]
            send(host, effect)  # type: ignore[arg-type]

        sim._send = note  # type: ignore[method-assign]


def joins(*, members: int, seeds: range, config: SwimConfig | None = None) -> str:
    """All join through one seed within a tenth of a second: when do all see all?"""
    took_s = []
    for seed in seeds:
        sim = Simulation(config or lan(), seed=seed, quality=LAN_QUALITY)
        for index in range(members):
            sim.start(f"n{index}")
        for index in range(1, members):
            sim.at(sim.now_s + 0.1 * sim.rng.random(), sim.join, f"n{index}", "n0")
        took_s.append(sim.run_until(sim.all_see_all_alive, within_s=60, step_s=0.02))
    which = f"seeds {seeds.start} to {seeds.stop - 1}"
    return f"{members} members join through one, {which}: all see all after {spread(took_s)}"


def churn(*, members: int, seed: int, duration_s: float, every_s: float, trace: Trace | None = None) -> str:
    """Every so often somebody is killed and comes back under its name half a minute later, for a while."""
    sim = Simulation(lan(), seed=seed, quality=LAN_QUALITY, clock_drift=1e-4, trace=trace)
    sim.start_acquainted(members)
    sim.run(10)
    end_s = sim.now_s + duration_s
    away: dict[str, float] = {}
    false = 0

    def come_back(name: str) -> None:
        del away[name]
        sim.start(name)
        sim.join(name, next(host.swim.name for host in sim.up() if host.swim.name != name))

    def kill_one() -> None:
        name = sim.rng.sample([host.swim.name for host in sim.up()], 1)[0]
        sim.kill(name)
        away[name] = sim.now_s
        sim.at(sim.now_s + 30, come_back, name)
        if sim.now_s + every_s < end_s:
            sim.at(sim.now_s + every_s, kill_one)

    kill_one()
    seen = 0
    while sim.now_s < end_s + 60:
        sim.run(0.5)
        fresh, seen = sim.sightings[seen:], len(sim.sightings)
        false += sum(s.state is MemberState.DEAD and s.subject not in away for s in fresh)
    settled_s = sim.run_until(sim.all_see_all_alive, within_s=60)
    kills = int(duration_s / every_s)
    return (
        f"{members} members, {kills} killed and back after 30 s, one every {every_s} s, seed {seed}: {false} false"
        f" deaths; a minute after the last came back all saw all, {settled_s:.1f} s later at most"
    )
