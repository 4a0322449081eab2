"""design.md §10 B and C: what a follower cuts and what it commits."""

from __future__ import annotations

import pytest

from consensus.raft import RaftError

ENTRIES = [[b"\0x", index, 1] for index in range(2, 7)]


def test_a_stale_append_does_not_cut_the_log(bench):
    """C: stock cuts everything after prevLogIdx, so a resent old append removes acknowledged entries."""
    bench.append("b", 1, (1, 0), ENTRIES)
    bench.append("b", 1, (1, 0), ENTRIES[:2])
    assert bench.log() == [(1, 0)] + [(index, 1) for index in range(2, 7)]
    bench.flush()
    answers = bench.take("next_node_idx")
    assert [body["next_node_idx"] for _, body in answers] == [7, 4]


def test_a_conflict_does_cut(bench):
    bench.append("b", 1, (1, 0), ENTRIES)
    bench.append("c", 2, (3, 1), [[b"\0y", 4, 2]])
    assert bench.log() == [(1, 0), (2, 1), (3, 1), (4, 2)]


def test_a_heartbeat_commits_only_what_it_verified(bench):
    """B: our tail beyond the verified entry may differ from the leader's."""
    bench.append("b", 1, (1, 0), ENTRIES)
    bench.append("c", 2, (3, 1), [], commit=6)
    assert bench.core.raftCommitIndex == 3


def test_a_bare_contact_commits_nothing(bench):
    """B: messages without prevLogIdx."""
    bench.append("b", 1, (1, 0), ENTRIES)
    bench.receive("b", "append_entries", term=1, commit_index=6, exchange=9)
    assert bench.core.raftCommitIndex == 1


def test_a_snapshot_chunk_commits_nothing(bench):
    """B: snapshot messages."""
    bench.append("b", 1, (1, 0), ENTRIES)
    chunk = {"snapshot": 50, "size": 1000, "offset": 0, "data": b"part"}
    bench.receive("b", "snapshot_chunk", term=1, commit_index=6, exchange=9, **chunk)
    assert bench.core.raftCommitIndex == 1
    (answer,) = bench.take("snapshot_answer")
    assert (answer[1]["offset"], answer[1]["done"]) == (4, False)
    bench.core._drop_receiving()


def test_replacing_a_committed_entry_is_an_error(bench):
    """Stock logs it and does it."""
    bench.append("b", 1, (1, 0), ENTRIES, commit=6)
    with pytest.raises(RaftError, match="committed"):
        bench.append("c", 2, (3, 1), [[b"\0y", 4, 2]])


def test_a_mismatch_goes_back_a_whole_term(bench):
    bench.append("b", 1, (1, 0), ENTRIES)
    bench.append("c", 3, (6, 2), [])
    bench.append("c", 3, (90, 2), [])
    answers = [body for _, body in bench.take("next_node_idx")]
    assert [(body["next_node_idx"], body["reset"]) for body in answers[-2:]] == [(2, True), (7, True)]


def test_an_old_leader_is_told_the_term(bench):
    """Stock drops its messages without a word."""
    bench.append("b", 5, (1, 0), ENTRIES)
    bench.take("stale")
    bench.append("c", 4, (1, 0), [])
    assert bench.take("stale") == [("c", {"type": "stale", "term": 5, "from_term": 5})]


def test_news_of_a_commit_is_not_answered(bench):
    """Half of all messages would be such answers."""
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1]])
    bench.flush()
    bench.take("next_node_idx")
    fields = {"term": 1, "exchange": 8, "prevLogIdx": 2, "prevLogTerm": 1, "entries": [], "commit_index": 2}
    bench.receive("b", "append_entries", quiet=True, **fields)
    assert bench.core.raftCommitIndex == 2
    assert not bench.take("next_node_idx")
    bench.receive("b", "append_entries", **fields)
    assert bench.take("next_node_idx")
