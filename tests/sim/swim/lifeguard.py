"""The Lifeguard paper's table: what each of its parts does to false positives and to load (§V-F, tables IV to VI).

128 members, alpha 5 and beta 6. Some of them are *ill*: each processes nothing for `duration_s`, then runs for
`interval_s`, and so on for `anomalous_s`. A false positive is a member that neither died nor was ill and that
somebody held dead; one for each who did. The paper varies duration and interval over a grid; here they are fixed.

The protocol is the paper's, and so is the illness: sends and receives are blocked, timers run on. In the last row it
is our own `lan` preset instead.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import msgspec

from membership import SwimConfig, lan
from membership.faults import LinkQuality
from tests.sim.swim.world import Simulation, Trace

MEMBERS = 128
CONCURRENCIES = (1, 4, 16, 32)

PLAIN = SwimConfig(
    suspicion_mult=5, suspicion_max_mult=1, awareness_max=1, buddy=False, early_probe_share=1.0, gossip_burst=0
)
"""Plain SWIM with alpha 5: every suspicion takes its shortest time, and nobody doubts himself."""

CONFIGURATIONS = {
    "SWIM": PLAIN,
    "LHA-Probe": msgspec.structs.replace(PLAIN, awareness_max=8),
    "LHA-Suspicion": msgspec.structs.replace(PLAIN, suspicion_max_mult=6),
    "Buddy": msgspec.structs.replace(PLAIN, buddy=True),
    "Lifeguard": msgspec.structs.replace(PLAIN, awareness_max=8, suspicion_max_mult=6, buddy=True),
    "lan preset": lan(),
}


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """How ill the ill are."""

    duration_s: float = 16.384
    interval_s: float = 0.016
    anomalous_s: float = 20.0
    before_s: float = 3.0
    after_s: float = 6.0
    """Time to see what comes of it."""


class Outcome(msgspec.Struct, frozen=True):
    """One run, or the sum of several."""

    false_positives: int = 0
    false_positives_at_healthy: int = 0
    messages: int = 0
    bytes_sent: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            *(
                mine + theirs
                for mine, theirs in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
            )
        )


def run(
    config: SwimConfig,
    *,
    ill: int,
    seed: int,
    anomaly: Anomaly,
    timers_run_on: bool = True,
    members: int = MEMBERS,
    trace: Trace | None = None,
) -> Outcome:
    """One run."""
    sim = Simulation(config, seed=seed, quality=LinkQuality(), timers_run_on=timers_run_on, trace=trace)
    sim.start_acquainted(members)
    sim.run(anomaly.before_s)
    sick = [f"n{index}" for index in sim.rng.sample(range(members), ill)]
    end_s = sim.now_s + anomaly.anomalous_s

    def fall_ill(name: str) -> None:
        if sim.now_s < end_s:
            sim.pause(name, min(anomaly.duration_s, end_s - sim.now_s))
            sim.at(sim.now_s + anomaly.duration_s + anomaly.interval_s, fall_ill, name)

    for name in sick:
        fall_ill(name)
    sim.run(anomaly.anomalous_s + anomaly.after_s)
    false = sim.recorder.false_positives(ill=sick)
    return Outcome(false.everywhere, false.healthy, sim.sent["packets"], sim.sent["bytes"])


def table(seeds: range, anomaly: Anomaly, names: tuple[str, ...] = tuple(CONFIGURATIONS)) -> Iterator[str]:
    """The table after each seed, so that a long run can be read while it lasts; the last one counts."""
    outcomes: dict[tuple[str, int], Outcome] = {}
    for seed in seeds:
        for name in names:
            for ill in CONCURRENCIES:
                outcome = run(CONFIGURATIONS[name], ill=ill, seed=seed, anomaly=anomaly)
                gc.collect()
                outcomes[name, ill] = outcomes.get((name, ill), Outcome()) + outcome
        yield (
            f"{MEMBERS} members, alpha 5, beta 6; ill {CONCURRENCIES}; blocked {anomaly.duration_s * 1000:.0f} ms, free"
            f" {anomaly.interval_s * 1000:.0f} ms, for {anomaly.anomalous_s:.0f} s; seeds {seeds.start} to {seed}"
        )
        yield from _rows(outcomes, names)


def _rows(outcomes: dict[tuple[str, int], Outcome], names: tuple[str, ...]) -> Iterator[str]:
    head = f"{'':14}{'FP':>8}{'share':>9}{'FP healthy':>12}{'share':>9}{'messages':>10}{'bytes':>9}"
    yield head + "   FP/healthy by number of ill"
    totals = {name: sum((outcomes[name, ill] for ill in CONCURRENCIES), Outcome()) for name in names}
    base = totals[names[0]]
    for name, total in totals.items():
        by_ill = (outcomes[name, ill] for ill in CONCURRENCIES)
        yield (
            f"{name:14}{total.false_positives:8}{_share(total.false_positives, base.false_positives):>9}"
            f"{total.false_positives_at_healthy:12}"
            f"{_share(total.false_positives_at_healthy, base.false_positives_at_healthy):>9}"
            f"{_share(total.messages, base.messages):>10}{_share(total.bytes_sent, base.bytes_sent):>9}   "
            + ", ".join(f"{part.false_positives}/{part.false_positives_at_healthy}" for part in by_ill)
        )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"
