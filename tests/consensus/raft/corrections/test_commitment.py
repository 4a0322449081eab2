"""The leader counts itself only after its own fdatasync, and stops leading without a quorum."""

from __future__ import annotations

ACK = {"next_node_idx": 3, "reset": False, "success": True, "exchange": 1}


def test_the_leader_counts_itself_after_its_sync(bench):
    bench.lead()
    bench.receive("b", "next_node_idx", **ACK)
    assert bench.core.raftCommitIndex == 1, "only b has it durably"
    bench.flush()
    bench.tick()
    assert bench.core.raftCommitIndex == 2


def test_two_followers_are_a_majority_without_the_leader(bench):
    bench.lead()
    bench.receive("b", "next_node_idx", **ACK)
    bench.receive("c", "next_node_idx", **ACK)
    assert bench.core.raftCommitIndex == 2


def test_what_is_queued_while_a_sync_runs_is_not_counted(bench):
    bench.lead()
    journal = bench.storage.journal
    flush = journal.begin_flush()
    bench.core._applyCommand(b"\0x", None)
    bench.tick()
    flush.run()
    journal.flushed(flush)
    bench.receive("b", "next_node_idx", **(ACK | {"next_node_idx": 4}))
    assert bench.core.raftCommitIndex == 2
    assert journal.dirty


def test_entries_of_earlier_terms_are_not_committed_by_counting(bench):
    """Raft paper, section 5.4.2 and figure 8."""
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1]])
    bench.lead()
    bench.flush()
    bench.receive("b", "next_node_idx", **ACK)
    assert bench.core.raftCommitIndex == 1
    bench.receive("b", "next_node_idx", **(ACK | {"next_node_idx": 4}))
    assert bench.core.raftCommitIndex == 3


def test_a_leader_without_answers_steps_down(bench):
    bench.lead()
    bench.tick(bench.settings.leader_fallback_s + 0.1)
    assert not bench.core._isLeader()
    assert bench.core._getLeader() is None


def test_a_leader_that_steps_down_is_as_fresh_as_the_quorum_that_it_heard(bench):
    """Its replica was told to be as old as the leader before it."""
    bench.lead()
    for _ in range(100):
        for peer in ("b", "c"):
            bench.receive(peer, "next_node_idx", **ACK)
        bench.tick(1.0)
    bench.tick(bench.settings.leader_fallback_s + 0.1)
    assert not bench.core._isLeader()
    assert bench.core.contact_age_s <= bench.settings.leader_fallback_s + 0.1


def test_no_leader_without_room_on_disk(bench):
    bench.lead()
    bench.core.set_storage_full(True)
    assert not bench.core._isLeader()
    bench.take("pre_vote")
    bench.tick(10)
    assert not bench.take("pre_vote")
