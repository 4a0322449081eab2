"""Learners off the commit path: what they get, when, and how much of it in one step."""

from __future__ import annotations

import msgspec
import pytest


def learner(bench, name):
    bench.core.transport.link_up(name)
    bench.receive(name, "learner", last_log_index=1)


def level(bench, name):
    """It says yes to whatever it was sent last."""
    body = [body for target, body in bench.take("append_entries") if target == name and "prevLogIdx" in body][-1]
    following = body["prevLogIdx"] + len(body["entries"]) + 1
    fields = {"next_node_idx": following, "reset": False, "success": True, "exchange": body["exchange"]}
    bench.receive(name, "next_node_idx", **fields)


def commit(bench, count):
    """Propose so many, and let `b` agree."""
    for _ in range(count):
        bench.core._applyCommand(b"\0x", None)
    bench.tick()
    bench.flush()
    agree(bench)


def agree(bench):
    after = bench.core.journal.last.index + 1
    bench.receive("b", "next_node_idx", next_node_idx=after, reset=False, success=True, exchange=1)
    assert bench.core.raftCommitIndex == after - 1


@pytest.fixture
def leading(bench):
    bench.lead()
    bench.flush()
    agree(bench)
    return bench


def sent_to(bench, name):
    return [body for target, body in bench.take("append_entries") if target == name]


def test_a_learner_gets_what_is_committed_in_one_message_with_the_news_that_it_is(leading):
    learner(leading, "l")
    level(leading, "l")
    leading.take("append_entries")
    leading.core._applyCommand(b"\0x", None)
    leading.tick()
    assert sent_to(leading, "l") == [], "what is not committed yet is of no use to it"
    leading.flush()
    leading.now_s += 0.01
    agree(leading)
    (body,) = sent_to(leading, "l")
    assert [entry[1] for entry in body["entries"]] == [3]
    assert body["commit_index"] == 3


def test_entries_of_a_round_go_together(leading):
    learner(leading, "l")
    level(leading, "l")
    leading.core.settings = msgspec.structs.replace(leading.settings, learner_pace_s=0.05)
    leading.tick(0.06)
    commit(leading, 1)
    (first,) = sent_to(leading, "l")
    commit(leading, 3)
    commit(leading, 3)
    fields = {"reset": False, "success": True, "exchange": first["exchange"]}
    leading.receive("l", "next_node_idx", next_node_idx=4, **fields)
    assert sent_to(leading, "l") == []
    leading.tick(0.06)
    (second,) = sent_to(leading, "l")
    assert len(second["entries"]) == 6


def test_many_learners_are_served_in_slices_and_voters_before_them(leading):
    names = [f"l{number}" for number in range(40)]
    for name in names:
        learner(leading, name)
    leading.take("append_entries")
    leading.tick(1.0)
    real = leading.core.transport.send

    def slow(node, message):
        leading.now_s += 0.001
        return real(node, message)

    leading.core.transport.send = slow
    leading.take("append_entries")
    leading.tick(leading.settings.learner_heartbeat_s)
    steps, spoken = 0, []
    while True:
        targets = [target for target, _ in leading.take("append_entries")]
        spoken += targets
        if not leading.core.wants_pump:
            break
        assert len(targets) <= 2 + 5, "a slice of 3 ms"
        steps += 1
        leading.tick()
    assert spoken[:2] in (["b", "c"], ["c", "b"])
    assert set(spoken) >= set(names)
    assert steps >= 9


def test_a_learner_that_is_behind_catches_up_without_waiting_for_rounds(leading):
    commit(leading, 20)
    leading.core.settings = msgspec.structs.replace(leading.settings, batch_entries=5)
    learner(leading, "l")
    exchange = sent_to(leading, "l")[-1]["exchange"]
    leading.receive("l", "next_node_idx", next_node_idx=2, reset=True, success=False, exchange=exchange)
    seen = []
    while bodies := sent_to(leading, "l"):
        body = bodies[-1]
        seen += [entry[1] for entry in body["entries"]]
        fields = {"reset": False, "success": True, "exchange": body["exchange"]}
        following = body["prevLogIdx"] + len(body["entries"]) + 1
        leading.receive("l", "next_node_idx", next_node_idx=following, **fields)
    assert seen == list(range(2, 23))


def test_the_pump_may_sleep_until_something_is_due(leading):
    now_s, settings = leading.now_s, leading.settings
    assert now_s < leading.core.next_tick_s() <= now_s + settings.heartbeat_s
    learner(leading, "l")
    leading.tick()
    leading.take("append_entries")
    for _ in range(40):
        due_s = leading.core.next_tick_s()
        assert due_s > leading.now_s, "it would spin"
        leading.tick(due_s - leading.now_s)
        leading.receive("b", "next_node_idx", next_node_idx=3, reset=False, success=True, exchange=10**6)
    heartbeats = sum(target == "l" for target, _ in leading.take("append_entries"))
    assert heartbeats > 0


def test_a_follower_sleeps_until_it_may_campaign(bench):
    bench.tick()
    for _ in range(20):
        due_s = bench.core.next_tick_s()
        assert due_s > bench.now_s, "it would spin"
        bench.tick(due_s - bench.now_s)
    assert bench.take("pre_vote")


def test_a_learner_without_a_leader_does_not_spin(bench):
    bench.tick()
    bench.core.voter_history.restart(1, ["b", "c"])
    bench.core.follow_voters()
    for _ in range(20):
        due_s = bench.core.next_tick_s()
        assert due_s > bench.now_s
        bench.tick(due_s - bench.now_s)
    assert bench.take("learner")
