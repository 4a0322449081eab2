"""design.md §10 E: what raises stops nothing and is applied once."""

from __future__ import annotations

from pysyncobj import FAIL_REASON

from consensus.raft import ApplyFailed


def commit(bench, commands):
    entries = [[command, index, 1] for index, command in enumerate(commands, 2)]
    bench.append("b", 1, (1, 0), entries, commit=1 + len(entries))


def test_a_state_machine_that_raises_does_not_stop_the_log(bench):
    commit(bench, [b"\0one", b"\0raise", b"\0two"])
    assert bench.machine.entries == [b"one", b"two"]
    assert bench.core.raftLastApplied == 4


def test_the_proposer_is_told(bench):
    answers = []
    bench.core._SyncObj__commandsWaitingCommit[2].append((1, lambda result, reason: answers.append((result, reason))))
    commit(bench, [b"\0raise"])
    ((result, reason),) = answers
    assert isinstance(result, ApplyFailed)
    assert reason == FAIL_REASON.SUCCESS


def test_a_callback_that_raises_applies_the_entry_once(bench):
    def callback(result, reason):
        raise RuntimeError("a callback should not")

    bench.core._SyncObj__commandsWaitingCommit[2].append((1, callback))
    commit(bench, [b"\0one", b"\0two"])
    bench.tick()
    assert bench.machine.entries == [b"one", b"two"]


def test_applying_is_sliced(bench):
    """Stock applies all that is committed in one go."""
    original = bench.machine.apply

    def slow(index, entry):
        bench.now_s += 0.003
        return original(index, entry)

    bench.machine.apply = slow
    commit(bench, [b"\0x"] * 10)
    assert len(bench.machine.entries) == 2
    assert bench.core.wants_pump
    for _ in range(4):
        bench.tick()
    assert len(bench.machine.entries) == 10
    assert not bench.core.wants_pump
