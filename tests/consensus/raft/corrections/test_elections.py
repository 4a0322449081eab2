"""Pre-vote, sticky followers, durable votes, terms in replies."""

from __future__ import annotations

import pytest

from consensus.raft.corrections.membership import encode_change
from consensus.raft.voter_set import VoterChange

LAST = {"last_log_index": 1, "last_log_term": 0}


def test_a_timeout_raises_no_term(bench):
    """Stock: a node that is cut off counts the term up, and disturbs the cluster when it returns."""
    for _ in range(20):
        bench.tick(2.0)
    assert bench.core.raftCurrentTerm == 0
    assert bench.take("pre_vote")


def test_a_follower_of_a_live_leader_grants_no_pre_vote(bench):
    bench.append("b", 1, (1, 0), [])
    bench.receive("c", "pre_vote", term=2, from_term=1, **LAST)
    ((_, answer),) = bench.take("pre_vote_answer")
    assert not answer["granted"]
    bench.receive("c", "request_vote", term=2, transfer=False, **LAST)
    assert bench.core.raftCurrentTerm == 1


def test_a_pre_vote_changes_nothing(bench):
    bench.receive("c", "pre_vote", term=9, from_term=8, **LAST)
    ((_, answer),) = bench.take("pre_vote_answer")
    assert answer["granted"]
    assert bench.core.raftCurrentTerm == 0


@pytest.mark.parametrize(
    "candidate", [{"last_log_index": 9, "last_log_term": 0}, {"last_log_index": 1, "last_log_term": 1}]
)
def test_no_vote_for_a_shorter_log(bench, candidate):
    """Raft paper, section 5.4.1."""
    bench.append("b", 1, (1, 0), [[b"\0x", 2, 1], [b"\0x", 3, 1]])
    bench.flush()
    bench.tick(5.0)
    bench.receive("c", "request_vote", term=9, transfer=False, **candidate)
    bench.flush()
    assert not bench.take("response_vote")


def test_a_vote_leaves_when_it_is_durable(bench):
    bench.receive("c", "request_vote", term=3, transfer=False, **LAST)
    assert not bench.take("response_vote")
    bench.flush()
    assert bench.take("response_vote")
    bench.storage.close()
    again = type(bench)(bench.data_dir)
    again.receive("b", "request_vote", term=3, transfer=False, **LAST)
    again.flush()
    assert not again.take("response_vote"), "one vote a term, over a restart"
    bench.storage = again.storage


def test_a_request_for_votes_leaves_when_the_term_is_durable(bench):
    bench.tick(2.0)
    bench.receive("b", "pre_vote_answer", term=1, granted=True, current=0)
    assert not bench.take("request_vote")
    bench.flush()
    assert len(bench.take("request_vote")) == 2


def test_a_vote_counts_once(bench):
    """Stock counts answers, not voters."""
    bench.core.voter_history.append(1, ["a", "b", "c", "d", "e"])
    bench.core.follow_voters()
    bench.tick(2.0)
    for voter in "bc":
        bench.receive(voter, "pre_vote_answer", term=1, granted=True, current=0)
    bench.flush()
    for _ in range(3):
        bench.receive("b", "response_vote", term=1)
    assert not bench.core._isLeader()
    bench.receive("c", "response_vote", term=1)
    assert bench.core._isLeader()


def test_a_candidate_of_an_old_term_is_told(bench):
    bench.append("b", 5, (1, 0), [])
    bench.receive("c", "request_vote", term=3, transfer=False, **LAST)
    assert bench.take("stale")[0][1]["term"] == 5


def test_a_learner_votes_but_never_campaigns(bench):
    """A voter that has not heard of its promotion must not keep the cluster from electing."""
    bench.core.voter_history.append(2, ["b", "c"])
    bench.core.committed_voters_index = 2
    bench.core.follow_voters()
    bench.tick(10.0)
    assert not bench.take("pre_vote")
    bench.receive("c", "request_vote", term=1, transfer=False, **LAST)
    bench.flush()
    assert bench.take("response_vote")


def test_a_sole_voter_leads_only_when_its_vote_is_durable(sole_bench):
    """Else it could send entries to learners, crash, and lead the same term again with others in their place."""
    bench = sole_bench
    bench.tick()
    assert not bench.core._isLeader()
    bench.tick(0.1)
    bench.flush()
    assert bench.core._isLeader()
    assert bench.core.raftCurrentTerm == 1


def test_the_removed_may_lead_until_its_removal_is_committed(bench):
    """It alone may have the entry: whoever votes by it has a shorter log, and would wait for ever."""
    bench.append("b", 1, (1, 0), [[encode_change(VoterChange("rem", "a", ("b", "c"))), 2, 1]])
    bench.flush()
    bench.take("pre_vote")
    bench.tick(5.0)
    assert bench.take("pre_vote")
    bench.append("b", 1, (2, 1), [], commit=2)
    bench.tick(5.0)
    assert not bench.take("pre_vote")


def test_a_voter_without_a_leader_asks_as_a_learner_too(bench):
    """It may have lost its vote while it was away; its log does not say so, and nobody would tell it."""
    bench.tick(bench.settings.leader_fallback_s + 0.1)
    assert {target for target, _ in bench.take("learner")} == {"b", "c"}
