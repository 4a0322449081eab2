"""scripts/bench: what its figures are made of."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.bench.figures import Sample, summary, table
from scripts.bench.running import Tally


def event(status: str, container_id: str, time_s: float) -> dict[str, Any]:
    return {"status": status, "id": container_id, "timeNano": int(time_s * 1e9)}


def sample(contender: str, seconds: float, row: str = "R=1", number: int = 0) -> Sample:
    return Sample(
        row=row,
        contender=contender,
        round=number,
        seconds=seconds,
        lab_cpu_s=1.0,
        daemons_cpu_s=0.1,
        others_cores=0.0,
        load_average=0.0,
    )


def test_the_count_is_as_old_as_its_newest_event_in_whatever_order_the_engines_tell() -> None:
    tally = Tally(["h1", "h2"])
    tally.event("h1", event("start", "a", 12.0))
    tally.event("h2", event("start", "b", 11.0))
    assert tally.count(["h1", "h2"]) == 2
    assert tally.last_change_s == 12.0
    tally.event("h1", event("die", "a", 13.0))
    assert tally.count(["h1", "h2"]) == 1
    assert tally.last_change_s == 13.0


def test_an_event_that_a_listing_told_already_changes_nothing() -> None:
    tally = Tally(["h1"])
    tally.listed("h1", ["a"], 10.0)
    tally.event("h1", event("start", "a", 9.0))
    tally.event("h1", event("die", "never seen", 11.0))
    assert tally.count(["h1"]) == 1
    assert tally.last_change_s == 10.0


def test_an_engine_that_died_runs_nothing() -> None:
    tally = Tally(["h1", "h2"])
    tally.listed("h1", ["a"], 1.0)
    tally.listed("h2", ["b", "c"], 2.0)
    tally.listed("h2", [], 3.0)
    assert (tally.count(["h1"]), tally.count(["h2"]), tally.last_change_s) == (1, 0, 3.0)


def test_ratios_are_of_medians_and_in_pairs_medians_of_each_rounds_own() -> None:
    seconds = {"hivemind": (1.0, 2.0, 30.0), "floor": (4.0, 1.0, 10.0)}
    samples = [sample(name, s, number=number) for name in seconds for number, s in enumerate(seconds[name])]
    (row,) = summary(samples)
    assert row.ratios == {"floor": pytest.approx(0.5)}
    assert row.ratios_in_pairs == {"floor": pytest.approx(2.0)}
    assert (row.cells["hivemind"].least_s, row.cells["hivemind"].most_s) == (1.0, 30.0)


def test_rows_keep_their_order_and_may_lack_a_contender() -> None:
    rows = summary([sample("hivemind", 1.0, "R=30"), sample("swarm", 2.0, "R=1"), sample("hivemind", 1.0, "R=1")])
    assert [row.row for row in rows] == ["R=30", "R=1"]
    assert rows[0].ratios == {}
    lines = table(rows).splitlines()
    assert lines[0].split()[:3] == ["hivemind", "swarm", "hivemind/swarm"]
    assert "0.50" in lines[2]
