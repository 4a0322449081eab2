"""design.md §10 D: flow control, and answers that cannot be mistaken."""

from __future__ import annotations

from tests.consensus.raft.conftest import Bench


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


def answer(bench, node_id, append):
    after = append["prevLogIdx"] + len(append["entries"]) + 1
    fields = {"next_node_idx": after, "reset": False, "success": True, "exchange": append["exchange"]}
    bench.receive(node_id, "next_node_idx", **fields)


def answer_all(bench):
    sent = bench.take("append_entries")
    for node_id in ("b", "c"):
        for append in to(sent, node_id):
            if append.get("prevLogIdx") and not append.get("quiet"):
                answer(bench, node_id, append)


def lead_with_all_told(bench):
    bench.lead()
    bench.flush()
    answer_all(bench)
    bench.tick(bench.settings.commit_news_s)
    bench.take("append_entries")


def commit_one(bench):
    propose(bench, 1)
    bench.flush()
    (append,) = to(bench.take("append_entries"), "b")
    answer(bench, "b", append)
    assert bench.core.raftCommitIndex == bench.core.journal.last.index


def test_the_news_of_a_commit_rides_on_the_next_append(bench):
    lead_with_all_told(bench)
    commit_one(bench)
    assert not to(bench.take("append_entries"), "b"), "it waits for a moment"
    committed = bench.core.raftCommitIndex
    propose(bench, 1)
    (append,) = to(bench.take("append_entries"), "b")
    assert append["commit_index"] == committed
    assert append["entries"]


def test_the_news_of_a_commit_does_not_wait_for_long(bench):
    lead_with_all_told(bench)
    commit_one(bench)
    assert bench.core.next_tick_s() <= bench.now_s + bench.settings.commit_news_s
    bench.tick(bench.settings.commit_news_s)
    (news,) = to(bench.take("append_entries"), "b")
    assert news["quiet"]
    assert news["commit_index"] == bench.core.raftCommitIndex
    bench.tick(bench.settings.commit_news_s)
    assert not to(bench.take("append_entries"), "b"), "once"


def test_who_answers_late_is_told_as_soon_as_it_has(bench):
    lead_with_all_told(bench)
    propose(bench, 1)
    bench.flush()
    sent = bench.take("append_entries")
    answer(bench, "b", to(sent, "b")[0])
    bench.tick(10 * bench.settings.commit_news_s)
    bench.take("append_entries")
    answer(bench, "c", to(sent, "c")[0])
    told = to(bench.take("append_entries"), "c")
    assert [message["commit_index"] for message in told] == [bench.core.raftCommitIndex]


def test_who_waits_for_a_commit_is_told_at_once(bench):
    lead_with_all_told(bench)
    commit_one(bench)
    bench.core.tell_commit("b")
    (news,) = to(bench.take("append_entries"), "b")
    assert news["commit_index"] == bench.core.raftCommitIndex
    bench.core.tell_commit("b")
    bench.core.tell_commit("stranger")
    assert not bench.take("append_entries"), "once, and voters only"


def test_a_lone_command_is_sent_at_once_and_many_together(bench):
    lead_with_all_told(bench)
    assert bench.core.is_quiet()
    propose(bench, 1)
    assert not bench.core.is_quiet(), "its answers are awaited"
    bench.flush()
    answer_all(bench)
    assert bench.core.is_quiet()
    propose(bench, 5)
    bench.flush()
    answer_all(bench)
    assert not bench.core.is_quiet(), "who came with others is likely to come with others again"


def test_a_sole_voter_syncs_for_many_together(tmp_path):
    alone = Bench(tmp_path / "alone", voters=("a",))
    alone.tick()
    alone.flush()
    alone.tick()
    assert alone.core._isLeader()
    assert not alone.core.is_quiet()


def test_draining_the_queue_does_not_hold_the_loop(bench):
    lead_with_all_told(bench)

    def clock():
        bench.now_s += 0.003
        return bench.now_s

    bench.core.clock = clock
    for _ in range(10):
        bench.core._applyCommand(b"\0x", None)
    before = bench.core.journal.last.index
    bench.core._onTick()
    assert before < bench.core.journal.last.index < before + 5
    assert bench.core.wants_pump
    while bench.core.wants_pump:
        bench.core._onTick()
    assert bench.core.journal.last.index == before + 10
