"""The fingerprint: what an entry wrote is all that it costs, and any difference shows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consensus import commands as c
from consensus.fingerprint import rows_of
from consensus.machine import CHECKPOINT_ENTRIES, CHECKPOINTS_KEPT, Machine
from consensus.snapshot import KEYED_TABLES, StateDamaged
from tests.consensus.making import Feed, spec
from tests.consensus.random_commands import random_command
from tests.consensus.test_machine import fed, seeds


@given(seeds, st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_the_sum_is_that_of_the_rows_after_every_entry(seed: int, steps: int) -> None:
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        command = random_command(rng, feed.state)
        feed(command)
        assert feed.machine.fingerprint.rows == rows_of(feed.state, KEYED_TABLES), command


@given(seeds, st.integers(0, 60), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_a_restored_machine_goes_on_with_the_same_fingerprint(seed: int, steps: int, more: int) -> None:
    feed, restored, rng = fed(seed, steps), Machine(), random.Random(seed + 1)
    restored.restore(feed.machine.freeze()())
    for _ in range(more):
        first = len(feed.entries)
        feed(random_command(rng, feed.state))
        for entry in feed.entries[first:]:
            restored.apply(restored.index + 1, entry)
        assert restored.fingerprint == feed.machine.fingerprint


def follow(machine: Machine, feed: Feed) -> None:
    for index in range(machine.index, len(feed.entries)):
        machine.apply(index + 1, feed.entries[index])


def test_a_difference_that_was_written_over_still_shows() -> None:
    feed, other = fed(1, 30), Machine()
    follow(other, feed)
    assert other.fingerprint == feed.machine.fingerprint
    feed.accepted(c.DeployApp(spec("odd", 1)))
    follow(other, feed)
    app = other.state.apps["odd"]
    other.state = replace(other.state, apps=other.state.apps.set("odd", replace(app, generation=7)))
    feed.accepted(c.DeleteApp("odd"))
    follow(other, feed)
    assert other.fingerprint.chain != feed.machine.fingerprint.chain


def test_another_entry_at_the_same_index_shows() -> None:
    one, other = Feed(), Feed()
    one(c.ScaleApp("nothing", 1))
    other(c.ScaleApp("nothing", 2))
    assert one.state == other.state
    assert one.machine.fingerprint.chain != other.machine.fingerprint.chain


def test_a_state_that_no_entry_made_is_not_written_as_a_snapshot() -> None:
    feed = fed(2, 40)
    feed.accepted(c.DeployApp(spec("odd", 1)))
    state = feed.machine.state
    feed.machine.state = replace(state, apps=state.apps.set("odd", replace(state.apps["odd"], generation=7)))
    with pytest.raises(StateDamaged, match="not what its entries made"):
        feed.machine.freeze()()


def test_a_changed_row_in_a_snapshot_is_refused() -> None:
    feed = Feed()
    feed.accepted(c.DeployApp(spec("web", 1)))
    data = feed.machine.freeze()()
    with pytest.raises(StateDamaged, match="do not match its fingerprint"):
        Machine().restore(data.replace(b"busybox", b"busybux"))


def test_checkpoints_are_at_the_same_indexes_everywhere() -> None:
    """Elections and voter changes take indexes, too: no entry of ours has index 100, or 299 and 300."""
    feed = Feed()
    for number in range(350):
        feed(c.DeployApp(spec(f"app{number % 40}", 0)))
    indexes = [index for index in range(1, len(feed.entries) + 3) if index not in (100, 299, 300)]
    machines = [Machine(), Machine()]
    for number, (index, entry) in enumerate(zip(indexes, feed.entries, strict=False)):
        machines[0].apply(index, entry)
        machines[1].apply(index, entry)
        if number == 150:
            data, machines[1] = machines[1].freeze()(), Machine()
            machines[1].restore(data)
    assert [*machines[0].checkpoints] == [101, 200, 301]
    assert machines[1].checkpoints == {index: machines[0].checkpoints[index] for index in (200, 301)}


def test_old_checkpoints_are_forgotten() -> None:
    machine, feed = Machine(), fed(4, 10)
    for number in range(CHECKPOINTS_KEPT + 5):
        machine.apply(1 + number * CHECKPOINT_ENTRIES, feed.entries[0])
    assert len(machine.checkpoints) == CHECKPOINTS_KEPT
