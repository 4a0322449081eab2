"""One membership change at a time, and a voter set that follows the log."""

from __future__ import annotations

from pysyncobj import FAIL_REASON

from consensus.raft.corrections.membership import encode_change
from consensus.raft.voter_set import VoterChange

ACK = {"next_node_idx": 3, "reset": False, "success": True, "exchange": 1}


def change(bench, kind, node_id):
    reasons = []
    bench.core.propose_change(kind, node_id, lambda result, reason: reasons.append(reason))
    bench.tick()
    return reasons


def test_a_change_waits_for_the_one_before(bench):
    """Stock: the check is dead code. Two changes in flight can have disjoint majorities."""
    bench.lead()
    bench.flush()
    bench.receive("b", "next_node_idx", **ACK)
    assert change(bench, "add", "d") == []
    assert bench.core.voter_history.latest == ("a", "b", "c", "d"), "in force when it is in the log"
    assert change(bench, "add", "e") == [FAIL_REASON.REQUEST_DENIED]
    bench.flush()
    for voter in "bc":
        bench.receive(voter, "next_node_idx", **(ACK | {"next_node_idx": 4}))
    assert bench.core.committed_voters == ("a", "b", "c", "d")
    assert change(bench, "add", "e") == []


def test_no_change_before_an_entry_of_the_leaders_own_term_is_committed(bench):
    bench.lead()
    assert change(bench, "add", "d") == [FAIL_REASON.REQUEST_DENIED]


def test_a_change_that_is_cut_off_the_log_is_undone(bench):
    bench.lead()
    bench.flush()
    bench.receive("b", "next_node_idx", **ACK)
    change(bench, "rem", "c")
    assert bench.core.voter_history.latest == ("a", "b")
    bench.append("c", 5, (2, 1), [[b"\1", 3, 5]])
    assert bench.core.voter_history.latest == ("a", "b", "c")
    assert {node.id for node in bench.core.otherNodes} == {"b", "c"}


def test_the_voters_are_read_from_the_log_after_a_restart(bench):
    bench.lead()
    bench.flush()
    bench.receive("b", "next_node_idx", **ACK)
    change(bench, "add", "d")
    bench.flush()
    bench.storage.close()
    again = type(bench)(bench.data_dir)
    bench.storage = again.storage
    assert again.core.voter_history.latest == ("a", "b", "c", "d"), "uncommitted, but in the log"
    assert again.core.committed_voters == ("a", "b", "c"), "committed is only what was"


def test_replaying_the_log_does_not_bring_old_voters_back(bench):
    """A node's role must not flap after every restart."""
    bench.storage.save_voters(9, ("a", "b", "c"))
    bench.storage.close()
    again = type(bench)(bench.data_dir)
    bench.storage = again.storage
    older = encode_change(VoterChange("add", "b", ("b", "c")))
    again.append("b", 1, (1, 0), [[older, 2, 1]], commit=2)
    assert again.core.raftLastApplied == 2
    assert again.core.committed_voters == ("a", "b", "c")
