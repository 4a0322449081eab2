"""The state machine: deterministic, exactly once, indexes in step, a snapshot that tells all (design.md §2)."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map
from msgspec.structs import asdict

from consensus import commands as c
from consensus.apply import _APPLY, apply_command
from consensus.draft import Draft
from consensus.entry import MAX_ENTRY_BYTES, CommandId, Entry, encode
from consensus.machine import SESSION_TTL_S, Machine
from consensus.outcomes import Deployed, Done, Refusal
from consensus.state import State, freed_in_pieces, with_indexes
from tests.consensus.making import Feed, facts, spec
from tests.consensus.random_commands import random_command

seeds = st.integers(0, 2**32)


def tables(state: State) -> dict[str, Any]:
    return {name: dict(table) if hasattr(table, "items") else table for name, table in asdict(state).items()}


def draft(state: State, number: int = 1) -> Draft:
    return Draft(state, index=number, time_s=2000.0 + number, command_id=CommandId("s", number))


def fed(seed: int, steps: int) -> Feed:
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        feed(random_command(rng, feed.state))
    return feed


def test_every_command_has_its_apply() -> None:
    assert set(_APPLY) == set(c.AnyCommand.__args__)


@given(seeds, st.integers(1, 120))
@settings(max_examples=150, deadline=None)
def test_indexes_are_those_that_the_tables_would_make(seed: int, steps: int) -> None:
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        before = feed.state
        command = random_command(rng, before)
        outcome = feed(command)
        assert tables(feed.state) == tables(with_indexes(feed.state)), command
        if isinstance(outcome, Refusal):
            assert feed.state is before
        assert_sound(feed.state)


def assert_sound(state: State) -> None:
    """What no sequence of commands may break."""
    for task in state.tasks.values():
        assert (task.app, task.revision) in state.specs
        assert task.node_id is None or task.node_id in state.nodes
        assert (task.run in state.runs if task.run else task.app in state.apps) or not task.wanted
    remembered = {(app.name, entry.revision) for app in state.apps.values() for entry in app.history}
    for app in state.apps.values():
        deployment = state.deployment_of(app)
        revisions = () if deployment is None else (deployment.old_revision, *deployment.new_revisions)
        remembered |= {(app.name, revision) for revision in revisions}
        remembered |= {(app.name, app.standby.revision)} if app.standby else set()
    remembered |= {(job.name, job.revision) for job in state.jobs.values()}
    remembered |= {(run.owner, run.revision) for run in state.runs.values()}
    used = {(task.app, task.revision) for task in state.tasks.values()}
    assert set(state.specs) == remembered | used | {(app.name, app.revision) for app in state.apps.values()}
    made = {service.name for service in state.services.values() if service.own}
    assert {app.service_name for app in state.apps.values()} | made == set(state.services)


@given(seeds, st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_the_same_entries_give_the_same_state_events_and_snapshot(seed: int, steps: int) -> None:
    feed, other = fed(seed, steps), Machine()
    for index, entry in enumerate(feed.entries, 1):
        other.apply(index, entry)
    assert other.freeze()() == feed.machine.freeze()()


@given(seeds, st.integers(0, 100), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_a_restored_snapshot_goes_on_as_the_machine_itself(seed: int, steps: int, more: int) -> None:
    feed = fed(seed, steps)
    data = feed.machine.freeze()()
    restored = Machine()
    restored.restore(data)
    assert restored.freeze()() == data
    assert tables(restored.state) == tables(feed.state)
    rng = random.Random(seed + 1)
    for _ in range(more):
        first = len(feed.entries)
        outcome = feed(random_command(rng, feed.state))
        answers = [restored.apply(restored.index + 1, entry) for entry in feed.entries[first:]]
        assert answers[-1] == outcome
    assert restored.freeze()() == feed.machine.freeze()()


@given(seeds, st.integers(10, 100))
@settings(max_examples=150, deadline=None)
def test_the_leaders_commands_change_nothing_when_they_come_again(seed: int, steps: int) -> None:
    """Two leaders may have planned the same on the same news: placing, creating and removing are idempotent."""
    feed = fed(seed, steps)
    rng = random.Random(seed)
    leaders = (c.PlaceTasks, c.CreateTasks, c.RemoveTasks, c.RescheduleTasks, c.ReportTasks, c.RaiseAlert, c.StartNode)
    command = random_command(rng, feed.state)
    while not isinstance(command, leaders):
        command = random_command(rng, feed.state)
    once = draft(feed.state, 1)
    if isinstance(apply_command(once, command), Refusal):
        return
    twice = draft(once.state, 2)
    apply_command(twice, command)
    if isinstance(command, c.ReportTasks):
        # A batch may tell of one task twice, so its statuses may alternate; what is removed stays so.
        assert set(twice.state.tasks) == set(once.state.tasks)
    else:
        assert tables(twice.state) == tables(once.state), command
        assert not twice.events


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_command_id_is_applied_once_and_answered_the_same(repeats: int) -> None:
    feed = Feed()
    outcome = feed(c.DeployApp(spec("web", 2)))
    assert isinstance(outcome, Deployed)
    state, position = feed.state, feed.machine.events.newest
    for _ in range(repeats):
        assert feed.machine.apply(feed.machine.index + 1, feed.entries[0]) == outcome
    assert feed.state is state
    assert feed.machine.events.newest == position


def test_a_refusal_is_remembered_too() -> None:
    """A retry must not succeed where the first try was refused: its client was told so."""
    feed = Feed()
    refusal = feed(c.ScaleApp("web", 3))
    assert isinstance(refusal, Refusal)
    feed.accepted(c.DeployApp(spec("web", 1)))
    assert feed.machine.apply(feed.machine.index + 1, feed.entries[0]) == refusal
    assert feed.state.apps["web"].spec.replicas == 1


def entry(session: str, number: int, command: c.AnyCommand, *, time_s: float = 1.0, below: int = 1) -> Entry:
    return Entry(id=CommandId(session, number), answered_below=below, time_s=time_s, command=command)


def test_answers_that_nobody_waits_for_are_forgotten_and_late_copies_do_nothing() -> None:
    machine = Machine()
    (late,) = encode(entry("s", 1, c.DeployApp(spec("web"))))
    machine.apply(1, late)
    machine.apply(2, *encode(entry("s", 2, c.DeleteApp("web"), below=2)))
    outcome = machine.apply(3, late)
    assert isinstance(outcome, Refusal)
    assert not machine.state.apps


def test_a_session_is_forgotten_an_hour_after_its_last_command() -> None:
    machine = Machine()
    machine.apply(1, *encode(entry("old", 1, c.DeployApp(spec("a")), time_s=0.0)))
    machine.apply(2, *encode(entry("new", 1, c.DeployApp(spec("b")), time_s=SESSION_TTL_S - 1)))
    assert list(machine._sessions) == ["old", "new"]
    machine.apply(3, *encode(entry("newer", 1, c.DeployApp(spec("c")), time_s=SESSION_TTL_S + 1)))
    assert list(machine._sessions) == ["new", "newer"]


class TestParts:
    """An entry over 128 KiB travels in parts; the last one applies it, once."""

    BIG = c.DeployApp(spec("big", 1, env={f"K{i}": "x" * 1000 for i in range(400)}))

    def pieces(self, session: str = "s", number: int = 1) -> list[bytes]:
        pieces = encode(entry(session, number, self.BIG))
        assert len(pieces) > 3
        assert all(len(piece) <= MAX_ENTRY_BYTES for piece in pieces)
        return pieces

    def test_the_last_part_applies_it(self) -> None:
        machine = Machine()
        *first, last = self.pieces()
        for i, piece in enumerate(first, 1):
            assert machine.apply(i, piece) == Done()
            assert not machine.state.apps
        assert isinstance(machine.apply(9, last), Deployed)
        assert machine.state.apps["big"].spec == self.BIG.spec
        assert not machine._parts

    def test_a_retry_starts_again_and_an_interrupted_try_is_harmless(self) -> None:
        machine = Machine()
        pieces = self.pieces()
        outcomes = [machine.apply(i, p) for i, p in enumerate([*pieces[:2], pieces[3], *pieces, *pieces], 1)]
        deployed = [o for o in outcomes if isinstance(o, Deployed)]
        assert len(deployed) == 2
        assert deployed[0] == deployed[1]
        assert len(machine.state.tasks) == 1

    def test_parts_of_different_commands_do_not_mix(self) -> None:
        machine = Machine()
        ours, theirs = self.pieces("a"), self.pieces("b")
        outcomes = [
            machine.apply(i, p) for i, p in enumerate([x for pair in zip(ours, theirs, strict=True) for x in pair], 1)
        ]
        assert isinstance(outcomes[-2], Deployed)
        assert isinstance(outcomes[-1], Refusal)

    def test_another_sessions_first_command_does_not_drop_the_parts_of_ours(self) -> None:
        """Found here: parts of a session without an applied command were swept when a new session appeared."""
        machine = Machine()
        *first, last = self.pieces("a")
        for i, piece in enumerate(first, 1):
            machine.apply(i, piece)
        machine.apply(20, *encode(entry("b", 1, c.DeployApp(spec("small")))))
        assert isinstance(machine.apply(21, last), Deployed)

    def test_a_snapshot_between_two_parts_keeps_them(self) -> None:
        machine, restored = Machine(), Machine()
        *first, last = self.pieces()
        for i, piece in enumerate(first, 1):
            machine.apply(i, piece)
        restored.restore(machine.freeze()())
        assert isinstance(restored.apply(9, last), Deployed)

    def test_a_stray_part_leaves_nothing_behind(self) -> None:
        machine = Machine()
        machine.apply(1, self.pieces()[2])
        assert not machine._parts


def test_an_unreadable_entry_stops_the_machine_instead_of_making_it_differ() -> None:
    feed = Feed()
    feed.accepted(c.DeployApp(spec("web")))
    state = feed.state
    assert isinstance(feed.machine.apply(2, b"\x07junk"), Refusal)
    assert feed.machine.fault is not None
    assert isinstance(feed.machine.apply(3, feed.entries[0]), Refusal)
    assert feed.state is state


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x90", b"\x91\x92\xa1x\xc4\x00", b"junk"])
def test_junk_is_no_snapshot_and_changes_nothing(data: bytes) -> None:
    feed = Feed()
    feed.add_nodes(1)
    state = feed.state
    with pytest.raises(ValueError, match="snapshot"):
        feed.machine.restore(data)
    assert feed.state is state


def test_touched_apps_are_told() -> None:
    feed, told = Feed(), list[set[str]]()

    def listener(apps: Any) -> None:
        told.append(set(apps))

    feed.machine.on_touch(listener)
    feed.accepted(c.AddNode("n1", facts()), c.DeployApp(spec("web")), c.DeployApp(spec("api")), c.RestartApp("web"))
    feed(c.ScaleApp("none", 1))
    assert told == [{"web"}, {"api"}, {"web"}]
    told.clear()
    feed.machine.restore(feed.machine.freeze()())
    assert told == [{"web", "api"}]
    feed.machine.off_touch(listener)
    feed.accepted(c.DeleteApp("web"))
    assert len(told) == 1


def test_a_replaced_state_is_freed_a_hundred_rows_at_a_time() -> None:
    freed = 0

    class Row:
        def __del__(self) -> None:
            nonlocal freed
            freed += 1

    holder = [State(apps=Map((str(number), Row()) for number in range(250)))]  # type: ignore[misc]
    steps = [freed for _ in freed_in_pieces(holder)]
    assert steps[0] == 0
    assert max(b - a for a, b in itertools.pairwise(steps)) == 100
    assert freed == 250
