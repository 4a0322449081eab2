"""Proposals that come while the leadership is handed over wait, and are told of the outcome (dissertation, 3.10)."""

from __future__ import annotations

from typing import Any

from consensus.raft.library import FAIL_REASON, REGULAR


def propose(bench: Any) -> list[int]:
    reasons: list[int] = []
    bench.core._applyCommand(REGULAR + b"x", lambda result, reason: reasons.append(reason))
    bench.tick()
    return reasons


def test_they_are_appended_when_the_attempt_ends_without_an_heir(bench: Any) -> None:
    bench.lead()
    last = bench.core.journal.last.index
    bench.core.begin_transfer()
    reasons = propose(bench)
    assert bench.core.journal.last.index == last
    bench.core.end_transfer()
    bench.tick()
    assert (bench.core.journal.last.index, reasons) == (last + 1, [])


def test_they_are_refused_for_certain_when_another_leads(bench: Any) -> None:
    bench.lead()
    last, term = bench.core.journal.last.index, bench.core.raftCurrentTerm
    bench.core.begin_transfer()
    reasons = propose(bench)
    bench.receive("b", "request_vote", term=term + 1, last_log_index=last, last_log_term=term, transfer=True)
    assert reasons == [FAIL_REASON.NOT_LEADER]
    assert bench.core.journal.last.index == last
