"""design.md §10 D: flow control, and answers that cannot be mistaken."""

from __future__ import annotations


def to(sent, node_id):
    return [body for target, body in sent if target == node_id]


def propose(bench, count):
    for _ in range(count):
        bench.core._applyCommand(b"\0x", None)
    bench.tick()


def test_one_exchange_in_flight(bench):
    bench.lead()
    propose(bench, 10)
    bench.tick(0.01)
    propose(bench, 10)
    appends = [body for body in to(bench.take("append_entries"), "b") if body.get("prevLogIdx")]
    assert len(appends) == 1, "nothing more until the first is answered"
    first = appends[0]
    after = first["prevLogIdx"] + len(first["entries"]) + 1
    bench.receive("b", "next_node_idx", next_node_idx=after, reset=False, success=True, exchange=first["exchange"])
    (second,) = [body for body in to(bench.take("append_entries"), "b") if body["entries"]]
    assert second["prevLogIdx"] == after - 1
    assert second["entries"][-1][1] == bench.core.journal.last.index


def test_heartbeats_go_on_while_an_exchange_waits(bench):
    """A follower in a slow fdatasync must not think the leader dead."""
    bench.lead()
    bench.take("append_entries")
    for _ in range(3):
        bench.tick(bench.settings.heartbeat_s + 0.01)
    assert len(to(bench.take("append_entries"), "b")) == 3


def test_an_exchange_without_answer_is_repeated(bench):
    bench.lead()
    first = to(bench.take("append_entries"), "c")[0]
    bench.receive("b", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=1)
    bench.now_s += bench.settings.exchange_timeout_s + 0.1
    bench.core.replicate()
    again = [body for body in to(bench.take("append_entries"), "c") if "prevLogIdx" in body]
    assert again[0]["prevLogIdx"] == first["prevLogIdx"]


def test_an_answer_of_another_term_is_ignored(bench):
    """Stock has no term in answers: one to an earlier leadership counts for this one."""
    bench.lead()
    fields = {"next_node_idx": 3, "reset": False, "success": True, "exchange": 1}
    bench.receive("b", "next_node_idx", from_term=bench.core.raftCurrentTerm - 1, **fields)
    bench.flush()
    bench.tick()
    assert bench.core.raftCommitIndex == 1


def test_an_old_answer_does_not_move_back(bench):
    bench.lead()
    exchange = to(bench.take("append_entries"), "b")[0]["exchange"]
    bench.receive("b", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=exchange)
    bench.receive("b", "next_node_idx", next_node_idx=2, reset=False, success=True, exchange=1)
    bench.receive("b", "next_node_idx", next_node_idx=1, reset=True, success=False, exchange=1)
    propose(bench, 1)
    appends = to(bench.take("append_entries"), "b")
    assert [body["prevLogIdx"] for body in appends if body["entries"]] == [2]


def test_a_new_link_ends_the_wait_for_an_answer(bench):
    """What was in flight on the old link may be lost; waiting for it to time out would cost seconds."""
    bench.lead()
    bench.take("append_entries")
    bench.core.transport.link_down("b")
    bench.core.transport.link_up("b")
    bench.tick()
    assert [body["entries"] for body in to(bench.take("append_entries"), "b")] == [[[b"\1", 2, 1]]]


def test_a_commit_that_came_while_an_exchange_was_in_flight_is_told_after_it(bench):
    """A heartbeat beside the exchange may only commit what it verifies, so it does not count as having told."""
    bench.lead()
    bench.flush()
    exchange = to(bench.take("append_entries"), "c")[0]["exchange"]
    bench.receive("c", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=exchange)
    assert bench.core.raftCommitIndex == 2
    bench.tick(bench.settings.heartbeat_s + 0.01)
    bench.take("append_entries")
    bench.receive("b", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=2)
    bench.receive("b", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=1)
    told = [body for body in to(bench.take("append_entries"), "b") if body.get("prevLogIdx") == 2]
    assert told
    assert told[0]["commit_index"] == 2


def test_a_follower_behind_the_log_is_not_told_of_commits_all_the_time(bench):
    """Nothing can be verified for it: every tick would send the same again, and a simulation found thousands."""
    bench.lead()
    propose(bench, 5)
    last = bench.core.journal.last.index
    bench.flush()
    for voter in "bc":
        bench.receive(voter, "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=2)
    bench.receive("b", "next_node_idx", next_node_idx=last + 1, reset=False, success=True, exchange=9)
    bench.tick()
    bench.core.journal.deleteEntriesTo(4)
    bench.take("append_entries")
    for _ in range(20):
        bench.tick()
    assert len(to(bench.take("append_entries"), "c")) <= 1
