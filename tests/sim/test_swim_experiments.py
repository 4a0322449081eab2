"""The experiments of `scripts/sim`, each in a quick form; the full ones are run by hand. A failure prints its seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from membership import MemberState, lan
from membership.inputs import SayEvent
from tests.sim.swim import experiments, lifeguard
from tests.sim.swim.fuzz import Fuzzer
from tests.sim.swim.record import percentile
from tests.sim.swim.world import Simulation

ROOT = Path(__file__).parents[2]
SEEDS = pytest.mark.parametrize(
    "seeds", [range(1, 4), pytest.param(range(1, 16), marks=pytest.mark.soak)], ids=["3", "15"]
)


def test_lifeguard_takes_nearly_all_false_positives_away() -> None:
    """Lifeguard §V: at most 2 % of plain SWIM's remain. 48 members, 8 of them ill."""
    anomaly = lifeguard.Anomaly()
    outcomes = {
        name: lifeguard.run(lifeguard.CONFIGURATIONS[name], ill=8, seed=1, anomaly=anomaly, members=48)
        for name in ("SWIM", "LHA-Probe", "LHA-Suspicion", "Lifeguard", "lan preset")
    }
    false = {name: outcome.false_positives for name, outcome in outcomes.items()}
    assert false["SWIM"] > 300
    assert false["Lifeguard"] <= 0.02 * false["SWIM"]
    assert false["lan preset"] <= 0.02 * false["SWIM"]
    assert false["LHA-Suspicion"] < false["LHA-Probe"] < false["SWIM"]
    assert outcomes["Lifeguard"].messages <= 1.15 * outcomes["SWIM"].messages


@SEEDS
def test_a_death_is_known_to_all_within_the_bar(seeds: range) -> None:
    """64 members; the suspicion lasts 7.2 s at the shortest."""
    runs = [experiments.death(lan(), members=64, seed=seed) for seed in seeds]
    assert percentile([run.detection.full_s for run in runs], 0.5) <= 9
    assert max(run.detection.full_s - run.detection.first_s for run in runs) < 0.5, "news of it cross in no time"
    assert not any(run.false_deaths for run in runs)


@SEEDS
def test_the_fast_setting_halves_it_and_trusts_no_lone_accuser(seeds: range) -> None:
    runs = [experiments.death(experiments.FAST, members=64, seed=seed) for seed in seeds]
    assert percentile([run.detection.full_s for run in runs], 0.5) <= 5
    assert not any(run.false_deaths for run in runs)


def test_swim_s_figures() -> None:
    """SWIM §5: two messages per member and period, whatever n."""
    assert "2.00" in experiments.swim_figures(members=40, seeds=range(1, 4))


def test_joins_through_one_seed_converge_within_a_second() -> None:
    assert "all see all after p50 0." in experiments.joins(members=32, seeds=range(1, 4))


def test_churn_kills_nobody_else() -> None:
    assert " 0 false deaths" in experiments.churn(members=20, seed=1, duration_s=60, every_s=5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_reach_everybody_once(seed: int) -> None:
    sim = Simulation(lan(), seed=seed, quality=experiments.LAN_QUALITY)
    sim.start_cluster(24)
    for number in range(20):
        sim.input(f"n{number}", SayEvent("deploy", b"%d" % number))
    sim.run(2)
    heard = {(event.observer, event.event.payload) for event in sim.recorder.events}
    assert len(sim.recorder.events) == len(heard), f"seed {seed}"
    assert len(heard) >= 0.99 * 20 * 24, f"seed {seed}"
    sim.run(90)
    assert len({(event.observer, event.event.payload) for event in sim.recorder.events}) == 20 * 24, f"seed {seed}"


def test_distances_follow_the_network() -> None:
    """All links take 2±1 ms one way, so every round trip takes about 4 ms."""
    sim = Simulation(lan(), seed=1, quality=experiments.LAN_QUALITY)
    sim.start_acquainted(12)
    sim.run(120)
    coordinates = sim.hosts["n0"].swim.coordinates
    estimates_s = [coordinates.distance_s(f"n{one}", f"n{other}") for one in range(12) for other in range(one)]
    assert percentile([estimate_s or 0 for estimate_s in estimates_s], 0.5) == pytest.approx(0.004, rel=0.25)


def test_drifting_clocks_hurt_nobody() -> None:
    """A percent is a thousand times what clocks do."""
    sim = Simulation(lan(), seed=1, quality=experiments.LAN_QUALITY, clock_drift=0.01)
    sim.start_acquainted(20)
    sim.run(120)
    assert not sim.seen(MemberState.SUSPECT)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_core_bears_a_fuzzer(seed: int) -> None:
    fuzzer = Fuzzer(seed)
    for _ in range(6_000):
        fuzzer.step()


def test_the_command_line_traces_the_same_twice(tmp_path: Path) -> None:
    traces = []
    for name in ("one", "two"):
        command = [sys.executable, "-m", "tests.sim.swim", "idle", "--members", "4", "--seconds", "5", "--seed", "3"]
        subprocess.run([*command, "--trace", str(tmp_path / name)], cwd=ROOT, check=True, capture_output=True)
        traces.append((tmp_path / name).read_text())
    assert traces[0] == traces[1]
    assert "ProbePeriod" in traces[0]
